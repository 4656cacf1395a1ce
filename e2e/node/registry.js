// Drives a hub's registry client: a JSON array a line on standard input, [method, argument…],
// answered by one JSON line: {"ok": result} or {"error": {…}}. Methods are the client's own.
'use strict';

const { Registry } = require('azure-iothub');
const { serve } = require('./requests');

const registry = Registry.fromConnectionString(process.env.CONNECTION_STRING);

serve((method, ...rest) => new Promise((resolve, reject) => {
  registry[method](...rest, (error, result) => (error ? reject(error) : resolve(result)));
}));
