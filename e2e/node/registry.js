// Drives a hub's registry client: a JSON array a line on standard input, [method, argument…],
// answered by one JSON line: {"ok": result} or {"error": {…}}.
//
// Methods are the client's own; ["promise", method, …] calls one in its promise form. Beside them
// ["query", text, size] reads every page, {"ok": [page, …]}; ["page", token, text, size] one,
// {"ok": {page, token}}.
'use strict';

const { Registry } = require('azure-iothub');
const { bearer, call, page, pages, serve } = require('./requests');

const registry = process.env.TOKEN
  ? Registry.fromTokenCredential(process.env.HOST, bearer(process.env.TOKEN))
  : Registry.fromConnectionString(process.env.CONNECTION_STRING);

serve((method, ...rest) => {
  if (method === 'query') {
    return pages(registry.createQuery(...rest));
  }
  if (method === 'page') {
    const [token, ...query] = rest;
    return page(registry.createQuery(...query), token);
  }
  return call(registry, method, ...rest);
});
