import type { ReleaseChange, ReleaseDiff } from '@berth/shared/api/releases';
import { expect, test } from 'vitest';
import { diffView } from '../src/commands/release-text.ts';
import { shortDigests } from '../src/output/format.ts';
import { styleOf } from '../src/output/style.ts';

const style = styleOf('off');
const D = (n: string): string => `sha256:${n.repeat(64)}`;
function view(changes: ReleaseChange[], compared: ReleaseDiff['compared'] = 'rendered'): string {
  return diffView({ app: 'shop', from: 12, to: 13, compared, changes }, style);
}

test('a difference is shown by what it is about, then by service', () => {
  const shown = view([
    {
      group: 'images',
      service: 'web',
      path: 'image',
      before: `r.test/web:1@${D('a')}`,
      after: `r.test/web:2@${D('b')}`,
    },
    { group: 'environment', service: 'web', path: 'environment.A', before: null, after: 'two\nlines' },
    { group: 'environment', service: 'web', path: 'environment.B', before: '', after: null },
    { group: 'other', service: null, path: 'variables.VERSION', before: '1', after: '2' },
  ]);
  expect(shown).toBe(
    [
      'Images',
      '  web: r.test/web:1@sha256:aaaaaaaaaaaa… → r.test/web:2@sha256:bbbbbbbbbbbb…',
      '',
      'Environment',
      '  web environment A: (none) → two\\nlines',
      '  web environment B: (empty) → (none)',
      '',
      'Other',
      '  variable VERSION: 1 → 2',
    ].join('\n'),
  );
});

test('no difference is said in a sentence, and so is a comparison of texts', () => {
  expect(view([])).toBe('Releases 12 and 13 of shop run the same.');
  expect(
    view([{ group: 'other', service: 'web', path: 'init', before: 'false', after: 'true' }], 'template'),
  ).toContain('Compared as written');
});

test('digests are shortened wherever they stand, and nothing else is', () => {
  expect(shortDigests(`x@${D('c')} y@sha256:short`)).toBe('x@sha256:cccccccccccc… y@sha256:short');
});
