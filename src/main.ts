#!/usr/bin/env node
// Is this Node one that can run us? And the only place that ends the process. All else is commands/command-line.ts.
//
// An old Node must read this file to be able to say so: no types and no import statement, and CommonJS (package.json
// beside it), as which an old Node takes a file whose ending it does not know.
{
  const needed = 24;
  const { node } = process.versions;
  if (Number.parseInt(node, 10) >= needed) {
    const exit = (code = 0, held = false) => {
      if (held) {
        // process.exit would wait for threads that nothing can end; another program in our place has none of them.
        process.emit('exit', code);
        process.execve?.(process.execPath, [process.execPath, '-e', `process.exitCode = ${code}`], process.env);
      }
      process.exit(code);
    };
    import('./commands/command-line.ts').then(({ main }) => main(process.argv.slice(2), exit));
  } else {
    const source = (process.argv[1] || '').endsWith('.ts');
    const hint = source ? `; 'npm start -- COMMAND' in the repository has the right one` : '';
    process.stderr.write(`postern: Node.js ${needed} or newer is needed, and ${process.execPath} is ${node}${hint}\n`);
    process.exitCode = 1;
  }
}
