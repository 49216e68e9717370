#!/usr/bin/env node
// Is this Node one that can run us? And the only place that ends the process. All else is commands/command-line.ts.
//
// An old Node must read this file to be able to say so: no types and no import statement, and CommonJS (package.json
// beside it), as which an old Node takes a file whose ending it does not know.
{
  const needed = 24;
  const source = (process.argv[1] || '').endsWith('.ts');
  const { node } = process.versions;
  if (Number.parseInt(node, 10) >= needed) {
    // In the one executable (npm run package) Node has no options of its own on the command line: the build has said them.
    const one = process.getBuiltinModule('node:sea').isSea();
    const EXIT = '--exit-with';
    if (one && process.argv[2] === EXIT) process.exit(Number(process.argv[3]));
    // execve ends the process where it fails, so what can be known is asked first. Windows has none: Node's throws there.
    const { execve } = process;
    const canBegin = () => {
      if (process.platform === 'win32') return false;
      const { accessSync, constants } = process.getBuiltinModule('node:fs');
      try {
        accessSync(process.execPath, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    };
    const exit = (code = 0, held = false) => {
      if (held && execve !== undefined && canBegin()) {
        // process.exit would wait for threads that nothing can end; another program in our place has none of them.
        process.emit('exit', code);
        const ends = one ? [EXIT, `${code}`] : ['-e', `process.exitCode = ${code}`];
        execve(process.execPath, [process.execPath, ...ends], process.env);
      }
      process.exit(code);
    };
    // The firewall, and what reads long logs, work with a small young heap: less memory, and shorter pauses, than what Node
    // lets grow. That can be said only where a process begins, so it begins anew (as the same one), unless it was said already.
    const young = '--max-semi-space-size';
    const said = one || [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((text) => text.includes(young));
    const readsLogs = ['inventory', 'replay', 'suggest'].includes(process.argv[2] ?? '');
    if (readsLogs) {
      // Of long logs nothing is kept but counts: the heap need not grow to several times what is in it before it is swept.
      process.getBuiltinModule('node:v8').setFlagsFromString('--heap-growing-percent=30');
    }
    const isLong = readsLogs || process.argv[2] === 'run';
    if (isLong && !said && process.send === undefined && execve !== undefined && canBegin()) {
      execve(
        process.execPath,
        [process.execPath, `${young}=4`, ...process.execArgv, ...process.argv.slice(1)],
        process.env,
      );
    }
    // What Node makes of the TypeScript is kept: 35 MB less of memory, and a start in half the time.
    const { enableCompileCache } = process.getBuiltinModule('node:module');
    if (source) enableCompileCache(`${__dirname}/../.cache/compiled`);
    import('./commands/command-line.ts').then(({ main }) => main(process.argv.slice(2), exit));
  } else {
    const hint = source ? `; 'npm start -- COMMAND' in the repository has the right one` : '';
    process.stderr.write(`postern: Node.js ${needed} or newer is needed, and ${process.execPath} is ${node}${hint}\n`);
    process.exitCode = 1;
  }
}
