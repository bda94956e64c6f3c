import { expect, test } from 'vitest';
import { run } from './support/run.ts';

/** What a newcomer gets wrong first. Nobody is asked for any of it. */
const berth = (...argv: string[]) => run('http://127.0.0.1:1', argv);

test('what is missing is said all at once, with what it is for and where to look', async () => {
  const { code, err } = await berth('tenant', 'create', 'acme');
  expect(code).toBe(2);
  expect(err).toBe(
    'error: berth tenant create needs --app <app> (the app it is a copy of) and --domain <domain> (a host name it answers to; may be said again).\n' +
      'See: berth tenant create --help\n',
  );
});

test('an argument that is missing is shown in its place', async () => {
  expect((await berth('release', 'diff', 'shop', '12')).err).toBe(
    'error: berth release diff needs <to>: berth release diff [options] <app> <from> <to>\nSee: berth release diff --help\n',
  );
});

test('a word that is no command or option is said with the one that was probably meant', async () => {
  expect((await berth('tennant')).err).toBe(
    'error: berth has no command tennant. Did you mean tenant?\nSee: berth --help\n',
  );
  expect((await berth('tenant', 'list', '--ap', 'shop')).err).toBe(
    'error: berth tenant list has no option --ap. Did you mean --app?\nSee: berth tenant list --help\n',
  );
});

test('waves that do not rise are said back, with waves that do', async () => {
  const { code, err } = await berth('rollout', 'start', 'shop', '--to', '2', '--waves', '50%,20%');
  expect(code).toBe(2);
  expect(err).toContain('--waves 50%,20%: Shares are cumulative and must rise: 20% comes after 50%.');
  expect(err).toContain('as in --waves 5%,25%,100%');
});

test('with --json it is one document, with what to do as its hint', async () => {
  const { err, out } = await berth('rollout', 'start', 'shop', '--json');
  expect(out).toBe('');
  expect(JSON.parse(err)).toEqual({
    error: {
      code: 'usage',
      message: 'berth rollout start needs --to <n> (the release to move to).',
      hint: 'See: berth rollout start --help',
    },
  });
});
