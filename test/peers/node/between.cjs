// `node --require` of this: connections of a test suite to a server on this machine go through Postern, which between.ts opens in
// front of it. POSTERN_BETWEEN is the port of that; without it nothing changes. TLS from the first octet goes past it.
'use strict';

const http = require('node:http');
const { Socket } = require('node:net');
const { TLSSocket } = require('node:tls');

const between = Number(process.env.POSTERN_BETWEEN);
const HERE = new Set(['localhost', '127.0.0.1']);
const firewalls = new Set();

function firewallFor(port) {
  return new Promise((resolve, reject) => {
    const ask = http.get({ port: between, host: '127.0.0.1', path: `/127.0.0.1/${port}`, agent: false }, (answer) => {
      let text = '';
      answer.on('data', (part) => {
        text += part;
      });
      answer.on('end', () => resolve(Number(text)));
    });
    ask.on('error', reject);
  });
}

const connect = Socket.prototype.connect;

function connectThrough(...args) {
  const isNormal = Array.isArray(args[0]);
  const options = isNormal ? args[0][0] : args[0];
  const { port, host = 'localhost' } = typeof options === 'object' ? options : {};
  const isOurs = Number(port) === between || firewalls.has(Number(port));
  if (this instanceof TLSSocket || port === undefined || !HERE.has(host) || isOurs) return connect.apply(this, args);
  this.connecting = true;
  firewallFor(port).then(
    (firewall) => {
      firewalls.add(firewall);
      const through = { ...options, port: firewall, host: '127.0.0.1' };
      if (isNormal) args[0][0] = through;
      else args[0] = through;
      if (!this.destroyed) connect.apply(this, args);
    },
    (error) => this.destroy(error),
  );
  return this;
}

if (between > 0) Socket.prototype.connect = connectThrough;
