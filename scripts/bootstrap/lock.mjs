import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { identify, isSame } from './process.mjs';
import { say } from './log.mjs';

/** Runs `work` while no other process does under the same path. A lock whose holder is dead is taken over. */
export async function withLock(path, work) {
  mkdirSync(dirname(path), { recursive: true });
  const owner = join(path, 'owner.json');
  for (let waited = 0; ; waited += 1) {
    try {
      mkdirSync(path);
      writeFileSync(owner, JSON.stringify(identify(process.pid)));
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      if (abandoned(owner, waited)) {
        rmSync(path, { recursive: true, force: true });
        continue;
      }
      if (waited === 20) say('waiting for another run that is installing or building in this clone');
      await sleep(100);
    }
  }
  try {
    return await work();
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

function abandoned(owner, waited) {
  try {
    return !isSame(JSON.parse(readFileSync(owner, 'utf8')));
  } catch {
    // Made but not yet signed: give its maker two seconds.
    return waited > 20;
  }
}
