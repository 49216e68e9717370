// The numbers of the system users that setup.sh made. Node gives names only to the process's own user.
import { execFileSync } from 'node:child_process';

export function userId(name: string): number {
  return thirdField('passwd', name);
}

export function groupId(name: string): number {
  return thirdField('group', name);
}

const known = new Map<string, number>();

function thirdField(database: 'passwd' | 'group', name: string): number {
  const found = known.get(`${database} ${name}`) ?? lookUp(database, name);
  known.set(`${database} ${name}`, found);
  return found;
}

function lookUp(database: 'passwd' | 'group', name: string): number {
  const line = execFileSync('getent', [database, name], { encoding: 'utf8' });
  return Number(line.split(':')[2]);
}
