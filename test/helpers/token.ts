// The token of the admin port, in the file that the tests' configurations name.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const TOKEN_FILE = join(import.meta.dirname, 'token');
export const TOKEN = readFileSync(TOKEN_FILE, 'utf8').trim();
export const BEARER = { authorization: `Bearer ${TOKEN}` };
