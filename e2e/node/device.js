// What the device programs share: arguments, credentials, one JSON object a line.
'use strict';

const fs = require('fs');
const { parseArgs } = require('util');

// The options that every device program takes, with its own added.
exports.arguments = (own) => parseArgs({
  options: {
    host: { type: 'string' },
    key: { type: 'string' },
    cert: { type: 'string' },
    'key-file': { type: 'string' },
    tpm: { type: 'string' },
    'endorsement-certificate': { type: 'string', multiple: true },
    transport: { type: 'string', default: 'mqtt' },
    ...own,
  },
}).values;

// A certificate chain and its key, as the SDK wants them: PEM texts.
exports.x509 = (args) => ({
  cert: fs.readFileSync(args.cert, 'ascii'),
  key: fs.readFileSync(args['key-file'], 'ascii'),
});

exports.say = (event) => process.stdout.write(JSON.stringify(event) + '\n');

// An error as a JSON value, with what the SDK hangs on it.
exports.failure = (error) => ({
  type: error.name,
  message: [error.message, error.cause && error.cause.message, error.responseBody]
    .filter(Boolean).map((part) => (typeof part === 'string' ? part : JSON.stringify(part)))
    .join(' <- '),
  status_code: error.response && error.response.statusCode,
  result: error.result,
});
