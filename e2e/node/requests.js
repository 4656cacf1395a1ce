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

// Calls a client's method in its callback form; ["promise", method, …] in its promise form, which
// wraps what HTTP answered.
exports.call = async (client, method, ...rest) => {
  if (method !== 'promise') {
    return new Promise((resolve, reject) => {
      client[method](...rest, (error, result) => (error ? reject(error) : resolve(result)));
    });
  }
  const [promising, ...given] = rest;
  const result = await client[promising](...given);
  const wrapping = ['responseBody', 'result'].find((member) => result && member in result);
  return wrapping ? result[wrapping] : result;
};

// Every page of a query. The client forgets its token in the promise form, so the callback form
// reads them.
exports.pages = async (query) => {
  const read = [];
  while (query.hasMoreResults) {
    read.push(await exports.call(query, 'next'));
  }
  return read;
};

// One page of a query, behind this token, in the promise form.
exports.page = async (query, token) => {
  const page = await exports.call(query, 'promise', 'next', token);
  return { page, token: query.continuationToken };
};

// A credential that always has this token.
exports.bearer = (token) => ({
  getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3600e3 }),
});
