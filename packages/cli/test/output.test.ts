import { BerthError } from '@berth/shared/domain/errors';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { UsageError } from '../src/exit-codes.ts';
import { printError } from '../src/output/errors.ts';
import { foldLine, foldText } from '../src/output/fold.ts';
import { ago, bytes, duration, exactBytes, exactDuration, parseDuration } from '../src/output/format.ts';
import { createScreen } from '../src/output/screen.ts';
import { createStepList } from '../src/output/steps.ts';
import { clean, cut, styleOf, wantsColour, widthOf } from '../src/output/style.ts';
import { fields, table } from '../src/output/table.ts';
import { keptOutput } from './support/sink.ts';

afterEach(() => {
  vi.useRealTimers();
});

test('colours are on for a terminal, and NO_COLOR, FORCE_COLOR and a dumb terminal are heeded', () => {
  expect(wantsColour({}, true)).toBe(true);
  expect(wantsColour({}, false)).toBe(false);
  expect(wantsColour({ NO_COLOR: '1', FORCE_COLOR: '1' }, true)).toBe(false);
  expect(wantsColour({ FORCE_COLOR: '1' }, false)).toBe(true);
  expect(wantsColour({ TERM: 'dumb' }, true)).toBe(false);
});

test('columns line up whatever the colours', () => {
  const style = styleOf('on');
  const text = table(
    ['A', 'LONGER'],
    [
      [style.red('x'), 'y'],
      ['wide cell', 'z'],
    ],
    style,
  );
  expect(stripVTControlCharacters(text)).toBe(
    ['A          LONGER', 'x          y', 'wide cell  z'].join('\n'),
  );
  expect(
    stripVTControlCharacters(
      fields(
        [
          ['a', '1\n2'],
          ['bc', '3'],
        ],
        style,
      ),
    ),
  ).toBe('a   1\n    2\nbc  3');
});

const WIDE = {
  head: ['ID', 'WHEN', 'WHO', 'WHAT'],
  rows: [
    [
      '17',
      '2026-11-20 06:49:27',
      'ci',
      'a sentence that goes on for much longer than a terminal is wide, so it is folded',
    ],
    ['18', '2026-11-20 06:50:00', 'somebody', 'short'],
  ],
};

test('a table that is wider than the terminal has its longest text folded, never its times and numbers', () => {
  const { output } = keptOutput('human', 'terminal', 80);
  expect(stripVTControlCharacters(table(WIDE.head, WIDE.rows, output.style)).split('\n')).toEqual([
    'ID  WHEN                 WHO       WHAT',
    '17  2026-11-20 06:49:27  ci        a sentence that goes on for much longer than',
    '                                   a terminal is wide, so it is folded',
    '18  2026-11-20 06:50:00  somebody  short',
  ]);
});

test('where a column of sentences would be too narrow, they stand below their rows', () => {
  const { output } = keptOutput('human', 'terminal', 60);
  expect(stripVTControlCharacters(table(WIDE.head, WIDE.rows, output.style)).split('\n')).toEqual([
    'ID  WHEN                 WHO',
    '  WHAT',
    '17  2026-11-20 06:49:27  ci',
    '  a sentence that goes on for much longer than a terminal',
    '    is wide, so it is folded',
    '18  2026-11-20 06:50:00  somebody',
    '  short',
  ]);
});

test('a name that is too long to stand beside the rest stands above it, and a text at the end below', () => {
  const rows = [
    ['a-tenant-with-a-longish-name', '17', 'why-it-is-so-and-not-otherwise'],
    ['b', '18', 'short'],
  ];
  expect(
    table(
      ['TENANT', 'ID', 'WHY'],
      rows,
      styleOf('off', () => 38),
    ),
  ).toBe(
    [
      'TENANT                        ID',
      '  WHY',
      'a-tenant-with-a-longish-name  17',
      '  why-it-is-so-and-not-otherwise',
      'b                             18',
      '  short',
    ].join('\n'),
  );
  expect(
    table(
      ['TENANT', 'ID', 'STATE'],
      [[rows[0]?.[0] ?? '', '17', 'settled']],
      styleOf('off', () => 38),
    ),
  ).toBe('TENANT\n  ID  STATE\na-tenant-with-a-longish-name\n  17  settled');
});

test('rows whose names are too long even so are lists, and no name is broken', () => {
  const rows = [
    ['a-tenant-with-a-longish-name', 'an-app-with-a-longish-name', 'h_123456', 'why not'],
    ['b', '', 'h_1', 'short'],
  ];
  expect(
    table(
      ['TENANT', 'APP', 'HOST', 'WHY'],
      rows,
      styleOf('off', () => 36),
    ),
  ).toBe(
    [
      'tenant  a-tenant-with-a-longish-name',
      'app     an-app-with-a-longish-name',
      'host    h_123456',
      'why     why not',
      '',
      'tenant  b',
      'host    h_1',
      'why     short',
    ].join('\n'),
  );
});

test('a column in which nothing is stays away where there is no room for it', () => {
  const rows = [['a', '', 'a-name-of-so-many-letters']];
  expect(
    table(
      ['A', 'EMPTY', 'NAME'],
      rows,
      styleOf('off', () => 30),
    ),
  ).toBe('A  NAME\na  a-name-of-so-many-letters');
  expect(
    table(
      ['A', 'EMPTY', 'NAME'],
      rows,
      styleOf('off', () => 40),
    ),
  ).toContain('EMPTY');
});

test('a terminal that does not know its width, a file and a pipe count as 80 columns wide', () => {
  for (const columns of ['unknown', 0] as const)
    expect(keptOutput('human', 'terminal', columns).output.style.room()).toBe(79);
  expect(keptOutput('human', 'pipe', 40).output.style.room()).toBe(80);
});

test('a sentence is folded on a terminal and whole elsewhere; a view is folded everywhere; a quote nowhere', () => {
  const sentence = `${'word '.repeat(30)}end`;
  const said = (tty: 'terminal' | 'pipe', how: 'print' | 'show' | 'quote' | 'note'): number => {
    const { output, written } = keptOutput('human', tty, 80);
    output[how](sentence);
    return (written.out + written.err).trimEnd().split('\n').length;
  };
  expect(said('terminal', 'print')).toBe(2);
  expect(said('terminal', 'note')).toBe(2);
  expect(said('pipe', 'print')).toBe(1);
  expect(said('pipe', 'note')).toBe(1);
  expect(said('pipe', 'show')).toBe(2);
  expect(said('terminal', 'quote')).toBe(1);
});

test('what is folded keeps its colour in each line, and its indent has none', () => {
  const style = styleOf('on', () => 40);
  const lines = foldLine(`  ${style.red('a reason in red that is longer than one line of it')}`, 40, 4);
  expect(lines).toEqual([
    '  \u001b[31ma reason in red that is longer than one\u001b[0m'.replace(' one', ''),
    '    \u001b[31mone line of it\u001b[39m',
  ]);
});

test('whatever is folded, no line is wider than the room and nothing but spaces is lost', () => {
  const word = fc.string({ minLength: 1, maxLength: 60, unit: fc.constantFrom(...'abc-/:@,.ü→') });
  const text = fc.array(word, { minLength: 1, maxLength: 12 }).map((words) => words.join(' '));
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 90 }), fc.integer({ min: 0, max: 8 }), (line, room, hang) => {
      const lines = foldLine(line, room, hang);
      for (const each of lines) expect([...each].length).toBeLessThanOrEqual(room);
      expect(lines.join('').replaceAll(' ', '')).toBe(line.replaceAll(' ', ''));
    }),
  );
});

test('letters that take two columns count as two, and marks above a letter as none', () => {
  expect(['abc', '東京', 'e\u0301', '✓', '🚢', '\u001b[31mred\u001b[39m'].map(widthOf)).toEqual([
    3, 4, 1, 1, 2, 3,
  ]);
  for (const line of foldLine('東京'.repeat(60), 80)) expect(widthOf(line)).toBeLessThanOrEqual(80);
});

test('a log line in a view is never folded', () => {
  const log = `  │ ${'x'.repeat(100)}`;
  expect(foldText(`${log}\nlast`, 80)).toBe(`${log}\nlast`);
});

test('text from containers cannot move the cursor or colour the screen', () => {
  expect(clean('a\u001b[2J\u001b]0;title\u0007b\rc\u0000\u009bd')).not.toMatch(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/,
  );
  expect(clean('\u202eevil\u202c \u2067x\u2069')).toBe('evil x');
  expect(clean('tab\tand\nline')).toBe('tab\tand\nline');
  expect(cut('abcdef', 4)).toBe('abc…');
});

test('durations and sizes read as people say them', () => {
  expect([400, 9_900, 12_300, 180_000, 7_200_000, 200_000_000].map(duration)).toEqual([
    '0.4 s',
    '9.9 s',
    '12 s',
    '3 min',
    '2 h',
    '2 d',
  ]);
  expect([0, 500, 1500, 60_000, 65_000, 120_000, 125_500, 5_400_000, 604_800_000].map(exactDuration)).toEqual(
    ['0 s', '500 ms', '1.5 s', '60 s', '65 s', '2 min', '2 min 5.5 s', '1 h 30 min', '7 d'],
  );
  expect([1, 1536, 268_435_456, 402_653_184, 1_000_001].map(exactBytes)).toEqual([
    '1 B',
    '1.5 KiB',
    '256 MiB',
    '384 MiB',
    '1000001 B',
  ]);
  expect(ago(null, 5)).toBe('never');
  expect([512, 268_435_456, 1_610_612_736].map(bytes)).toEqual(['512 B', '256 MiB', '1.5 GiB']);
  expect(['30s', '5m', '2h', '1d', '250ms', '5', 'm', '-5m'].map(parseDuration)).toEqual([
    30_000,
    300_000,
    7_200_000,
    86_400_000,
    250,
    undefined,
    undefined,
    undefined,
  ]);
});

test('without a terminal each ended step is one line with its time', () => {
  const { output, written } = keptOutput('human');
  const list = createStepList(output, { now: () => 0 });
  list.started('image.ensure', 'image shop:1');
  list.ended('image.ensure', 'ignored', 'done', 1200);
  list.remark('waiting: memory is short');
  list.started('containers.probe', 'wait until web is healthy');
  list.ended('containers.probe', '', 'failed', 3000);
  list.close();
  expect(written.out).toBe(
    '  ✓ image shop:1 1.2 s\n  waiting: memory is short\n  ✗ wait until web is healthy 3.0 s\n',
  );
});

test('on a terminal the running step is redrawn in its line and never wider than the screen', () => {
  vi.useFakeTimers();
  const { output, written } = keptOutput('human', 'terminal');
  let now = 0;
  const list = createStepList(output, { now: () => now });
  list.started('a', 'x'.repeat(200));
  now = 1000;
  vi.advanceTimersByTime(250);
  const lines = written.out.split('\r\u001b[K').filter((line) => line !== '');
  expect(lines.length).toBeGreaterThanOrEqual(3);
  for (const line of lines) expect(stripVTControlCharacters(line).length).toBeLessThanOrEqual(60);
  expect(written.out).toContain('1.0 s');
  list.ended('a', '', 'done', 1100);
  list.close();
  const after = written.out;
  vi.advanceTimersByTime(1000);
  expect(written.out).toBe(after);
  expect(after.endsWith('\n\r\u001b[K') || after.endsWith('\n')).toBe(true);
});

test('a block on a terminal is drawn in its place, within its width and height, and leaves nothing behind', () => {
  let written = '';
  const write = (text: string): void => {
    written += text;
  };
  const screen = createScreen({ write, isTTY: true, columns: 20, rows: 5 });
  screen.draw(`${styleOf('on').red('x'.repeat(30))}\ntwo`);
  expect(written).toBe(`${'x'.repeat(18)}…\ntwo\n`);
  written = '';
  screen.say('stays');
  expect(written).toBe(`\u001b[2A\r\u001b[Jstays\n${'x'.repeat(18)}…\ntwo\n`);
  written = '';
  screen.draw('1\n2\n3\n4\n5\n6');
  expect(written).toBe('\u001b[2A\r\u001b[J1\n2\n3\n4\n');
  written = '';
  screen.clear();
  screen.clear();
  expect(written).toBe('\u001b[4A\r\u001b[J');
});

test('with --json steps say nothing: the document at the end has them', () => {
  const { output, written } = keptOutput('json');
  const list = createStepList(output, { now: () => 0 });
  list.started('a', 'x');
  list.ended('a', 'x', 'done', 1);
  list.close();
  expect(written).toEqual({ out: '', err: '' });
});

test('an error is one sentence and what to do, on stderr', () => {
  const { output, written } = keptOutput('human');
  printError(new BerthError('forbidden', 'A viewer cannot do this.'), output);
  expect(written.out).toBe('');
  expect(written.err).toBe(
    'error: A viewer cannot do this.\nAn admin can make a token with a wider role: berth token create NAME --role operator\n',
  );
});

test('a refusal that names the role it needs is answered with that role', () => {
  const { output, written } = keptOutput('human');
  printError(
    new BerthError('forbidden', 'This needs the role admin; this token has the role viewer.'),
    output,
  );
  expect(written.err).toContain('berth token create NAME --role admin\n');
});

test('a refusal of a scope is answered with a token that has none', () => {
  const { output, written } = keptOutput('human');
  printError(
    new BerthError('forbidden', 'This concerns everybody, so it needs a token without a scope.'),
    output,
  );
  expect(written.err).toContain('without --app, --pool and --tenant\n');
});

test('a limit that the API counts in milliseconds is said as a time', () => {
  const { output, written } = keptOutput('human');
  const issues = [{ field: 'ttlMs', message: 'Too big: expected number to be <=86400000' }];
  printError(new BerthError('invalid_request', 'x', { details: { in: 'body', issues } }), output);
  expect(written.err).toBe('error: --ttl: 1d at most.\n');
});

test('a tenant that is made without its secrets is told how to give them', () => {
  const { output, written } = keptOutput('human');
  const message = 'the secret `KEY` has no value for this tenant; set it with `berth tenant secret set`';
  const findings = [{ line: 3, column: 5, path: 'services.web.secrets[0]', message }];
  printError(
    new BerthError('invalid_compose', 'It does not work out:\nx', { details: { findings } }),
    output,
  );
  expect(written.err).toContain('gets its secrets with: --secret NAME\n');
});

test('findings come as file:line:column with the name of the file that was given', () => {
  const { output, written } = keptOutput('human');
  const findings = [{ line: 3, column: 5, path: 'services.web.privileged', message: 'is refused' }];
  const error = new BerthError('invalid_compose', 'The Compose file cannot be used:\ncompose.yaml:3:5 …', {
    details: { findings, file: 'deploy/shop.yaml' },
  });
  printError(error, output);
  expect(written.err).toBe(
    'error: The Compose file cannot be used.\ndeploy/shop.yaml:3:5: services.web.privileged: is refused\n',
  );
});

test('errors are one JSON document with --json', () => {
  const { output, written } = keptOutput('json');
  printError(new UsageError('Say what to change.', 'One of --var.'), output);
  expect(JSON.parse(written.err)).toEqual({
    error: { code: 'usage', message: 'Say what to change.', hint: 'One of --var.' },
  });
  expect(written.out).toBe('');
});

test('what the API refuses is said in the words of the command line', () => {
  const said = (field: string, message: string): string => {
    const { output, written } = keptOutput('human');
    const details = { in: 'body', issues: [{ field, message }] };
    printError(
      new BerthError('invalid_request', `The body is not right. ${field}: ${message}.`, { details }),
      output,
    );
    return written.err;
  };
  expect(said('app', 'an app name must be short')).toBe('error: An app name must be short.\n');
  expect(said('domains.0', 'a domain must be a host name')).toBe(
    'error: --domain: a domain must be a host name.\n',
  );
  expect(said('variables.A', 'too long')).toBe('error: --var A: too long.\n');
  expect(said('', 'nothing was said')).toBe('error: Nothing was said.\n');
});

test('an instance that npm start began is started with npm start again', () => {
  const { output, written } = keptOutput('human');
  printError(new BerthError('unavailable', 'No coordinator answers.'), output, 'npm start');
  expect(written.err).toContain('start it with: npm start');
});
