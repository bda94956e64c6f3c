import { BerthError } from '@berth/shared/domain/errors';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, expect, test, vi } from 'vitest';
import { UsageError } from '../src/exit-codes.ts';
import { printError } from '../src/output/errors.ts';
import { ago, bytes, duration, parseDuration } from '../src/output/format.ts';
import { createScreen } from '../src/output/screen.ts';
import { createStepList } from '../src/output/steps.ts';
import { clean, cut, styleOf, wantsColour } from '../src/output/style.ts';
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
      'a sentence that goes on for much longer than a terminal is wide, so it is cut',
    ],
    ['18', '2026-11-20 06:50:00', 'somebody', 'short'],
  ],
};

test('a table that is wider than the terminal has its longest text cut, never its times and numbers', () => {
  for (const columns of [60, 80, 100]) {
    const { output, written } = keptOutput('human', 'terminal', columns);
    output.print(stripVTControlCharacters(table(WIDE.head, WIDE.rows, output.style)));
    const lines = written.out.trimEnd().split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBe(columns - 1);
    expect(lines[1]).toMatch(/^17  2026-11-20 06:49:27  ci        a sentence .*…$/);
    expect(lines[2]).toBe('18  2026-11-20 06:50:00  somebody  short');
  }
});

test('a terminal that does not know its width counts as 80 columns wide', () => {
  for (const columns of ['unknown', 0] as const) {
    const { output } = keptOutput('human', 'terminal', columns);
    const lines = stripVTControlCharacters(table(WIDE.head, WIDE.rows, output.style)).split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBe(79);
  }
});

test('a table that goes to a file or a pipe is never cut', () => {
  const { output } = keptOutput('human', 'pipe', 40);
  expect(table(WIDE.head, WIDE.rows, output.style)).toContain('wide, so it is cut');
});

test('a cell that is cut keeps its colour, and the name of a row is cut last', () => {
  const style = styleOf('on', () => 40);
  const text = table(
    ['TENANT', 'WHY'],
    [['a-tenant-with-a-longish-name', style.red('a reason in red that is long')]],
    style,
  );
  expect(text.split('\n')[1]).toBe(`a-tenant-with-a-longish-name  ${style.red('a reason …')}`);
  const narrow = styleOf('off', () => 24);
  const lines = table(['TENANT', 'WHY'], [['a-tenant-with-a-longish-name', 'a long reason']], narrow);
  expect(lines.split('\n')[1]).toBe('a-tenant-wi…  a long re…');
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
