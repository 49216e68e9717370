// Asks the running Postern how it is: exit code 0 when it says so itself. For HEALTHCHECK and exec probes.
//
//   node health.mjs [healthz|readyz]
//
// Finds the admin listener where `run` puts it: POSTERN_ADMIN, or the default. With `admin` in a mounted file, set
// POSTERN_HEALTH to the same address. An image has no curl, and needs none.
const listen = process.env.POSTERN_HEALTH || process.env.POSTERN_ADMIN || '127.0.0.1:9125';
const address = listen.replace(/^(?:0\.0\.0\.0|\[::\]):/, '127.0.0.1:');

try {
  const response = await fetch(`http://${address}/${process.argv[2] ?? 'healthz'}`, {
    signal: AbortSignal.timeout(4_000),
  });
  console.log((await response.text()).trim());
  process.exitCode = response.ok ? 0 : 1;
} catch (error) {
  console.error(`no answer from ${address}: ${error.cause?.message ?? error.message}`);
  process.exitCode = 1;
}
