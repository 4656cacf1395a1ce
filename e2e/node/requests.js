// Answers requests read from standard input, one JSON line each, in order.
'use strict';

const readline = require('readline');
const device = require('./device');

exports.serve = async (answer) => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    try {
      const ok = await answer(...JSON.parse(line));
      device.say({ ok: ok === undefined ? null : ok });
    } catch (error) {
      device.say({ error: device.failure(error) });
    }
  }
};
