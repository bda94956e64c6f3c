import type { PoolSignersSet, PoolSignersShown } from '@berth/shared/api/signers';
import { BerthError, unreachable } from '@berth/shared/domain/errors';
import { keyFingerprint } from '@berth/shared/domain/signature';
import { PoolSigners, signSigners } from '@berth/shared/domain/signers';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { timestamp } from '../output/format.ts';
import { clean, type Style } from '../output/style.ts';
import { fields, table } from '../output/table.ts';
import { readPublicKeyFile, readSigningKey, type SigningKey } from '../signing-key.ts';
import { argument, collect, does, examples, NoOptions, type ContextOf } from './define.ts';
import { parseCount } from './parse.ts';

/** More statements than a pool comes to in its life. */
const MOST_NEXT = 10_000;

const SignWith = z.object({
  key: z.array(z.string()).default([]),
  signWith: z.array(z.string()).default([]),
  replace: z.boolean().default(false),
  number: z.string().optional(),
});
type SignWith = z.output<typeof SignWith>;

/** `berth pool signers`: whose releases a pool's hosts run. What is said of it is signed here; nobody else can make it. */
export function addPoolSigners(pool: Command, contextOf: ContextOf): void {
  const signers = pool.command('signers').description('whose releases the hosts of a pool run');

  const show = signers
    .command('show')
    .description('whose releases the pool runs, and which of its hosts go by that')
    .argument('<pool>');
  does(show, contextOf, NoOptions, async (context, args) => {
    const input = { params: { pool: argument(args, 0) } };
    const shown = await context.api().showPoolSigners(input, context.signal);
    context.output.json(shown);
    context.output.print(view(shown, context.output.style));
  });

  const set = withKeys(
    signers
      .command('set')
      .description('have the pool run only releases that one of these keys has signed')
      .argument('<pool>'),
  );
  examples(set, [
    ['berth pool signers set prod --key ci-2026.pub --sign-with ci-2026.key', 'the first time'],
    [
      'berth pool signers set prod --key ci-2027.pub --sign-with ci-2026.key',
      'another key in its place, which the one before has to sign',
    ],
  ]);
  does(set, contextOf, SignWith, async (context, args, flags) => {
    if (flags.key.length === 0)
      throw new UsageError(
        'Say which keys: --key FILE.pub, once for each.',
        '"berth release keygen --out ci.key" makes a key, and ci.pub beside it.',
      );
    await handIn(context, argument(args, 0), flags, 'required');
  });

  const clear = withKeys(
    signers
      .command('clear')
      .description('have the pool run unsigned releases again; a key has to sign that as well')
      .argument('<pool>'),
  );
  examples(clear, [['berth pool signers clear prod --sign-with ci-2026.key', '']]);
  does(clear, contextOf, SignWith, async (context, args, flags) => {
    await handIn(context, argument(args, 0), flags, 'not-required');
  });
}

function withKeys(command: Command): Command {
  return command
    .option(
      '--key <file>',
      'a public key that may sign releases, and the next statement (repeat it)',
      collect,
    )
    .option(
      '--sign-with <file>',
      'the private key that signs this statement, PEM (repeat it); without it BERTH_SIGNING_KEY holds the PEM itself',
      collect,
    )
    .option('--number <n>', 'the number of the statement, where the next one is not it')
    .option('--replace', 'hand it on also where no key of the statement before has signed it');
}

async function handIn(
  context: Context,
  pool: string,
  { key, signWith, replace, number }: SignWith,
  required: 'required' | 'not-required',
): Promise<void> {
  const { output, env, cwd } = context;
  const api = context.api();
  const signing = (signWith.length === 0 ? [undefined] : signWith).map((file) =>
    readSigningKey({ file }, env, cwd, '--sign-with FILE'),
  );
  const given = key.map((file) => readPublicKeyFile(file, cwd));
  // Of what the coordinator says only the number is used: keys that it names might be a thief's.
  const keys = given.length > 0 ? given : signing.map(({ name, publicKey }) => ({ name, publicKey }));
  const next =
    number === undefined ? await nextVersion(context, pool, required) : parseCount(number, '--number');
  const parsed = PoolSigners.safeParse({ pool, version: next, required: required === 'required', keys });
  if (!parsed.success)
    throw new UsageError(`This cannot be signed: ${parsed.error.issues[0]?.message ?? 'it has no form'}.`);
  const signers = parsed.data;
  const by = signing.map((each) => ({ key: each.name, value: signSigners(each.privateKey, signers) }));
  const body = { signers, by, replace };
  const answer = await api.setPoolSigners({ params: { pool }, body }, context.signal);
  output.json({ ...answer, signed: signers });
  say(context, signers, signing, answer);
}

/**
 * Also of a pool that is not there yet: its first hosts then begin with it. Errors: UsageError for a number that nobody
 * reaches: after the highest that there is, no statement could follow. `conflict` where nothing was said that could be
 * cleared: a key that signs that all the same would be pinned on hosts that know of none.
 */
async function nextVersion(
  context: Context,
  pool: string,
  required: 'required' | 'not-required',
): Promise<number> {
  try {
    const { next } = await context.api().showPoolSigners({ params: { pool } }, context.signal);
    if (required === 'not-required' && next === 1) throw nothingToClear(pool);
    if (next <= MOST_NEXT) return next;
    throw new UsageError(
      `The coordinator says that the next statement of pool ${pool} is number ${next}, which is not signed unasked.`,
      'If that is right, say --number N yourself; if not, somebody may want your key to sign the last one that there can be.',
    );
  } catch (thrown) {
    if (!(thrown instanceof BerthError) || thrown.code !== 'not_found') throw thrown;
    if (required === 'not-required') throw nothingToClear(pool);
    return 1;
  }
}

function nothingToClear(pool: string): BerthError {
  return new BerthError(
    'conflict',
    `There is nothing to clear: pool ${pool} has never had signers, and asks for no signature. Nothing was signed.`,
  );
}

function say(
  { output }: Context,
  { pool, version, required, keys }: PoolSigners,
  signing: readonly SigningKey[],
  answer: PoolSignersSet,
): void {
  output.print(
    required
      ? `Pool ${pool} runs only releases that one of these keys has signed (version ${version}):`
      : `Pool ${pool} asks for no signature any more (version ${version}); one of these keys may say otherwise:`,
  );
  output.print(
    fields(
      keys.map(({ name, publicKey }) => [`  ${name}`, keyFingerprint(publicKey)] as const),
      output.style,
    ),
  );
  if (!signing.some((each) => keys.some(({ publicKey }) => publicKey === each.publicKey)))
    output.print(
      `${signing.map((each) => each.name).join(', ')} signed this for the last time: from now on only the keys above can change it.`,
    );
  const cannot = answer.hosts.filter((each) => each.state === 'cannot');
  if (cannot.length > 0)
    output.note(
      `The agents of ${cannot.map((each) => clean(each.name)).join(', ')} know nothing of this and run what they are told: update them.`,
    );
  output.note(`Hosts take it as they connect; "berth pool signers show ${pool}" says which have.`);
}

function view({ pool, current, hosts }: PoolSignersShown, style: Style): string {
  const rows: [string, string][] = [['pool', pool]];
  if (current === null) rows.push(['signature', 'not required, and nobody has said anything']);
  else {
    rows.push(
      ['signature', current.required ? style.green('required') : 'not required'],
      [
        'version',
        `${current.version}, of ${timestamp(current.at)} UTC, signed by ${current.signedBy.map(clean).join(', ')}`,
      ],
      ...current.keys.map(({ name, fingerprint }): [string, string] => [`key ${clean(name)}`, fingerprint]),
    );
  }
  const shown = fields(rows, style);
  if (hosts.length === 0) return `${shown}\n\nNo host is in the pool yet.`;
  const lines = hosts.map((each) => [
    clean(each.name),
    each.version === null ? '–' : String(each.version),
    stateText(each.state, style),
    clean(each.refused ?? ''),
  ]);
  return `${shown}\n\n${table(['HOST', 'VERSION', 'STATE', 'WHY'], lines, style)}`;
}

function stateText(state: PoolSignersShown['hosts'][number]['state'], style: Style): string {
  switch (state) {
    case 'goes-by':
      return style.green('goes by it');
    case 'own':
      return 'its own configuration decides';
    case 'behind':
      return style.yellow('has not taken it yet');
    case 'refuses':
      return style.red('refuses it');
    case 'cannot':
      return style.red('its agent is too old');
    default:
      return unreachable(state);
  }
}
