// What the one executable runs first: Postern's script, which lies inside, with the code that V8 made of it beforehand where there
// is some. Code that does not fit (another processor, another V8) is not taken, and the script is compiled as ever.
const { getAssetKeys, getRawAsset } = require('node:sea');
const { Script } = require('node:vm');

const octets = (name) => Buffer.from(getRawAsset(name)); // without a copy
const cachedData = getAssetKeys().includes('main.code') ? octets('main.code') : undefined;
const script = new Script(octets('main.cjs').latin1Slice(), { filename: 'postern', cachedData });
script.runInThisContext()(require, module, exports, '');
