// The other programs that stand between source and sink: those that parse nothing (the pipes, HAProxy in `mode tcp`), and those
// that do what Postern does in their own way: nginx's mail proxy, Postfix before a content filter, Haraka that hands on.
//
// Each has one thread or process for the sessions where it can. None is installed here: install.ts does that.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { haraka } from '../../test/real/beds/haraka.ts';
import { startPostfix } from '../../test/real/beds/postfix.ts';
import { freePort, listening, start, stop } from './processes.ts';
import type { Certificate, Running } from './proxies.ts';
import { findNginx, findTool } from './tools.ts';

const CONNECTIONS = 1024;

/** A program of this folder, with the ports where it listens and where it connects to. */
export async function startNode(
  name: string,
  program: string,
  upstream: number,
  node: readonly string[],
): Promise<Running> {
  const port = await freePort();
  const file = join(import.meta.dirname, '..', program);
  const child = start(process.execPath, [...node, '--no-deprecation', file, String(port), String(upstream)]);
  await listening(port, child);
  return { name, port, pid: child.pid ?? 0, stop: () => stop(child) };
}

export async function startHaproxy(
  upstream: number,
  connections = CONNECTIONS,
  tls: Certificate | undefined = undefined,
): Promise<Running> {
  const tool = findTool('haproxy');
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'));
  const config = join(folder, 'haproxy.cfg');
  writeFileSync(
    config,
    `global
  nbthread 1
  maxconn ${connections}
defaults
  mode tcp
  timeout connect 10s
  timeout client 10m
  timeout server 10m
listen smtp
  bind 127.0.0.1:${port} maxconn ${connections}${tls === undefined ? '' : ` ssl crt ${tls.both}`}
  server sink 127.0.0.1:${upstream}
`,
  );
  const child = start(tool.path, ['-db', '-f', config], { env: tool.env });
  await listening(port, child);
  return { name: 'haproxy', port, pid: child.pid ?? 0, stop: () => endIn(folder, stop(child)) };
}

/** Its mail proxy asks a web server who the server behind is: itself, so that the answer costs little and counts. */
export async function startNginx(upstream: number): Promise<Running> {
  const { path, module } = findNginx();
  const [port, authPort] = [await freePort(), await freePort()];
  const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'));
  mkdirSync(join(folder, 'temporary'));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((what) => `  ${what}_temp_path ${join(folder, 'temporary', what)};`)
    .join('\n');
  const config = join(folder, 'nginx.conf');
  writeFileSync(
    config,
    `load_module ${module};
daemon off;
worker_processes 1;
pid ${join(folder, 'pid')};
${process.getuid?.() === 0 ? 'user nobody nogroup;' : ''}
events { worker_connections ${4 * CONNECTIONS}; }
http {
${temporary}
  access_log off;
  server {
    listen 127.0.0.1:${authPort};
    location / {
      add_header Auth-Status OK;
      add_header Auth-Server 127.0.0.1;
      add_header Auth-Port ${upstream};
      return 200;
    }
  }
}
mail {
  server_name local.example;
  auth_http 127.0.0.1:${authPort}/;
  server { listen 127.0.0.1:${port}; protocol smtp; smtp_auth none; xclient off; }
}
`,
  );
  const child = start(path, ['-e', 'stderr', '-p', folder, '-c', config]);
  await listening(port, child);
  return { name: 'nginx', port, pid: child.pid ?? 0, stop: () => endIn(folder, stop(child)) };
}

/** smtpd that hands each message to the server behind as it comes, and stores none. */
export async function startPostfixFilter(upstream: number): Promise<Running> {
  const port = await freePort();
  const filter = [`smtpd_proxy_filter = 127.0.0.1:${upstream}`, 'smtpd_client_connection_count_limit = 0'];
  const bed = await startPostfix(upstream, await freePort(), { ports: new Map([[port, filter]]) });
  return { name: 'postfix', port, pid: bed.pid, stop: () => bed.stop() };
}

export async function startHaraka(upstream: number): Promise<Running> {
  const bed = await haraka.start(upstream, await freePort());
  return { name: 'haraka', port: bed.port, pid: bed.pid, stop: () => bed.stop() };
}

export async function endIn(folder: string, ended: Promise<void>): Promise<void> {
  await ended;
  rmSync(folder, { recursive: true, force: true });
}
