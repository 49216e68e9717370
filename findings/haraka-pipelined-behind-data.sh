#!/bin/sh
# Haraka 3.3.4 offers PIPELINING, and answers 503 to every command that comes in one segment behind the end of mail data.
#
# RFC 2920 §3.1 lets a client send the next MAIL, or QUIT, together with the last octets of a message, and Postfix's client does
# so. Haraka takes the message (250) and says "503 Bad sequence of commands" to what stands behind its final dot, QUIT
# included; the connection stays open. Who waits for the 250 first is served.
#
# Seen 2026-11-28, Haraka 3.3.4 from npm, Node.js 20.20.2 and 24.21.0:
#
#   250 Message Queued …
#   503 Bad sequence of commands - pipelined after end of DATA
#   503 Bad sequence of commands - pipelined after end of DATA
#
# Exits 0 when it is still so.
set -eu
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT INT TERM
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund Haraka@3.3.4 >/dev/null
node=$(command -v node)

mkdir -p server/plugins
cp -r node_modules/Haraka/config server/config
port=$("$node" -e "const s = require('net').createServer().listen(0, '127.0.0.1', () => { console.log(s.address().port); s.close(); })")
echo '{ "type": "commonjs" }' >server/package.json
printf 'listen=127.0.0.1:%s\nnodes=0\n' "$port" >server/config/smtp.ini
echo mail.example >server/config/me
echo everybody >server/config/plugins
cat >server/plugins/everybody.js <<'PLUGIN'
exports.hook_rcpt = (next) => next(OK);
exports.hook_queue = (next) => next(OK);
PLUGIN
"$node" node_modules/Haraka/bin/haraka -c "$folder/server" >server/log 2>&1 &
server=$!

cat >client.cjs <<'CLIENT'
const { connect } = require('node:net');
const MESSAGE = 'Subject: hello\r\n\r\nhello\r\n.\r\n';
const steps = ['EHLO client.example\r\n', 'MAIL FROM:<a@client.example>\r\n', 'RCPT TO:<b@mail.example>\r\n', 'DATA\r\n'];
const replies = [];
let text = '';
function start(tries) {
  const socket = connect(Number(process.argv[2]), '127.0.0.1');
  socket.on('error', () => (tries > 0 ? setTimeout(start, 200, tries - 1) : process.exit(2)));
  socket.on('data', (chunk) => {
    text += chunk;
    for (let end = text.search(/^\d{3} .*\r\n/m); end !== -1; end = text.search(/^\d{3} .*\r\n/m)) {
      const stop = text.indexOf('\n', end) + 1;
      replies.push(text.slice(0, stop));
      text = text.slice(stop);
      const next = steps.shift();
      if (next !== undefined) socket.write(next);
      else if (replies.length === 5) socket.write(`${MESSAGE}NOOP\r\nQUIT\r\n`); // one segment
    }
    if (replies.length === 8) {
      console.log(replies[1].includes('PIPELINING') ? 'offers PIPELINING' : 'offers no PIPELINING');
      process.stdout.write(replies.slice(5).join(''));
      process.exit(0);
    }
  });
}
start(50);
setTimeout(() => { console.log(replies.join('')); process.exit(3); }, 20000);
CLIENT
"$node" client.cjs "$port" >seen || { cat seen; exit 1; }
cat seen
grep -q '^offers PIPELINING' seen
[ "$(grep -c '^250 ' seen)" = 1 ]
[ "$(grep -c '^503 .*pipelined after end of DATA' seen)" = 2 ]
