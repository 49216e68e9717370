// Runs a script of ours with the code that V8 made of it beforehand, where that lies beside it and fits: code of another processor or
// another V8 is not taken, and the script is compiled as ever. Node's own cache of modules has only what is compiled before a
// script runs, which is a third of it (module.enableCompileCache).
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { Script } = require('node:vm');

const filename = join(__dirname, 'postern.js');
const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData: code() });
script.runInThisContext()(require, module, exports, __dirname);

function code() {
  try {
    return readFileSync(join(__dirname, 'postern.code'));
  } catch {
    return undefined; // it is not in a package, which is for every Node
  }
}
