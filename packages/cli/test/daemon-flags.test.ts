import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { daemonFlags, type Daemon } from '../src/local/dist.ts';

test.each<Daemon>(['coordinator', 'agent'])(
  'the unit of the %s gives Node the options that berth does',
  (daemon) => {
    const unit = new URL(`../../../systemd/berth-${daemon}.service`, import.meta.url);
    const line = readFileSync(unit, 'utf8').match(/^ExecStart=\S+\/node (.*)$/m)?.[1] ?? '';
    const words = line.split(' ');
    const script = words.findIndex((word) => word.endsWith(`/${daemon}.js`));
    expect(script).toBeGreaterThanOrEqual(0);
    expect(words.slice(0, script)).toEqual(daemonFlags(daemon));
  },
);
