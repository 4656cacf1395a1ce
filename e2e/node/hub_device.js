// One hub device, told what to do by lines on standard input; prints one JSON event a line.
// Lines: `twin`, `send JSON`, `report JSON`, `wait-disconnect SECONDS`, `quit`.
'use strict';

const readline = require('readline');
const { Client, Message } = require('azure-iot-device');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');
const { NoRetry } = require('azure-iot-common');
const device = require('./device');
const tpm = require('./tpm');

const TRANSPORTS = { mqtt: Mqtt, 'mqtt-ws': MqttWs };

const args = device.arguments({
  'device-id': { type: 'string' },
  reconnect: { type: 'boolean', default: false },
});

function connect() {
  const identity = `HostName=${args.host};DeviceId=${args['device-id']}`;
  const credential = args.cert ? 'x509=true' : `SharedAccessKey=${args.key}`;
  const client = args.tpm
    ? Client.fromAuthenticationProvider(
      tpm.authentication(args.host, args['device-id'], args.tpm), TRANSPORTS[args.transport])
    : Client.fromConnectionString(`${identity};${credential}`, TRANSPORTS[args.transport]);
  if (args.cert) {
    client.setOptions(device.x509(args));
  }
  if (!args.reconnect) {
    client.setRetryPolicy(new NoRetry());
  }
  return client;
}

// Resolves when the connection is gone, or after the time, whichever comes first.
function disconnected(client, state, seconds) {
  return new Promise((resolve) => {
    if (!state.connected) {
      resolve(true);
      return;
    }
    const timer = setTimeout(() => resolve(false), seconds * 1000);
    client.once('disconnect', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

// The twin, read afresh; the SDK's first read is `getTwin` itself.
async function readTwin(client, state) {
  if (state.twin) {
    await state.twin.get();
  } else {
    state.twin = await client.getTwin();
  }
}

function actions(client, state) {
  return {
    twin: async () => {
      await readTwin(client, state);
      const { desired, reported } = JSON.parse(JSON.stringify(state.twin.properties));
      device.say({ event: 'twin', twin: { desired, reported } });
    },
    send: async (body) => {
      const message = new Message(body);
      message.contentType = 'application/json';
      message.contentEncoding = 'utf-8';
      await client.sendEvent(message);
      device.say({ event: 'sent' });
    },
    report: async (patch) => {
      await readTwin(client, state);
      await new Promise((resolve, reject) => {
        state.twin.properties.reported.update(
          JSON.parse(patch), (error) => (error ? reject(error) : resolve()));
      });
      device.say({ event: 'reported' });
    },
    'wait-disconnect': async (seconds) => {
      const gone = await disconnected(client, state, Number(seconds));
      device.say({ event: gone ? 'disconnected' : 'still-connected' });
    },
  };
}

async function main() {
  const client = connect();
  const state = { connected: false, twin: null };
  client.on('connect', () => {
    state.connected = true;
    device.say({ event: 'connection', connected: true });
  });
  client.on('disconnect', (reason) => {
    state.connected = false;
    device.say({ event: 'connection', connected: false, reason: String(reason) });
  });
  client.on('error', (error) => device.say({ event: 'background', ...device.failure(error) }));
  try {
    await client.open();
    state.connected = true;
    device.say({ event: 'ready' });
  } catch (error) {
    device.say({ event: 'refused', ...device.failure(error) });
    process.exit(0);
  }
  const known = actions(client, state);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [, name, argument] = line.trim().match(/^(\S*)\s*(.*)$/s);
    if (name === 'quit') {
      break;
    }
    try {
      await known[name](argument);
    } catch (error) {
      device.say({ event: 'error', action: name, ...device.failure(error) });
    }
  }
  device.say({ event: 'bye' });
  process.exit(0);
}

main();
