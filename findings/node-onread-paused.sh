#!/bin/sh
# Node.js 24.21.0: a paused socket hears that its peer has ended, and one with `onread` does not until it goes on.
#
# net.connect's `onread` reads into one buffer of the caller's; its documentation says that other events are emitted as usual and
# that pause() and resume() behave as expected. A socket without it keeps reading while it is paused, up to its high-water mark,
# so that 'end' comes at once although nobody asked for data. With `onread` pause() stops the reading itself, and 'end' comes
# after resume(). Who pauses a client while something is looked up, and gives its place away when it hangs up, keeps the place.
#
# Source: lib/net.js, Socket.prototype.pause. Seen 2026-11-28, Node.js 24.21.0 from npm:
#
#   plain:  end while paused
#   onread: end after resume
#
# Exits 0 when it is still so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 >/dev/null
cat >paused.cjs <<'PROGRAM'
const { connect, createServer } = require('node:net');
const WAIT = 300;
function look(name, options) {
  return new Promise((resolve) => {
    const server = createServer((peer) => setTimeout(() => peer.end(), 50)).listen(0, '127.0.0.1', () => {
      let resumed = false;
      const socket = connect({ port: server.address().port, host: '127.0.0.1', ...options });
      socket.resume();
      socket.on('connect', () => {
        setTimeout(() => socket.pause(), 10); // it reads by then
        setTimeout(() => {
          resumed = true;
          socket.resume();
        }, WAIT);
      });
      socket.on('end', () => {
        console.log(`${name} end ${resumed ? 'after resume' : 'while paused'}`);
        server.close();
        socket.destroy();
        resolve();
      });
    });
  });
}
const onread = { buffer: Buffer.alloc(4096), callback: () => true };
look('plain: ', {}).then(() => look('onread:', { onread }));
PROGRAM
node_modules/.bin/node paused.cjs | tee seen
printf 'plain:  end while paused\nonread: end after resume\n' | cmp - seen
