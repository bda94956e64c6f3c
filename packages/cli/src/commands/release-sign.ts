import type { Pin } from '@berth/shared/api/schemas';
import {
  boundPart,
  keyFingerprint,
  signedText,
  signRelease,
  type Signable,
} from '@berth/shared/domain/signature';
import { signCommand, type ToSign } from '@berth/shared/domain/sign-command';
import type { Command } from 'commander';
import { z } from 'zod';
import { readRelease, type ReleaseFiles } from '../apply.ts';
import type { Context } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { checkSignable, openOptions, parseDigests, signableFrom, type OwnRelease } from '../signing.ts';
import {
  hasKeyInEnvironment,
  makeSigningKey,
  publicFileOf,
  readSigningKey,
  type SigningKey,
} from '../signing-key.ts';
import { clean } from '../output/style.ts';
import { argument, collect, does, examples, type ContextOf } from './define.ts';
import { parseCount, parseVariable } from './parse.ts';

export const SignFlags = z.object({
  imageDigest: z.array(z.string()).default([]),
  trustDigests: z.boolean().default(false),
  keyName: z.string().optional(),
});
type SignFlags = z.output<typeof SignFlags>;

/** What every command that signs takes, beside the key. */
export function addSignOptions(command: Command): Command {
  return command
    .option(
      '--image-digest <service=sha256:…>',
      'what your build says an image is; may be said again',
      collect,
    )
    .option('--trust-digests', 'sign the digests that the coordinator found in the registries')
    .option('--key-name <name>', "what the key is called; the file's name unless it is said");
}

/** The signer's own view of a release that is made from these files. */
export function ownRelease(
  app: string,
  body: Pick<OwnRelease, 'compose' | 'envFiles' | 'set'>,
  file: string,
  flags: SignFlags,
): OwnRelease {
  const { compose, envFiles, set } = body;
  const trust = flags.trustDigests ? 'coordinator' : 'nobody';
  return { app, file, compose, envFiles, set, digests: parseDigests(flags.imageDigest), trust };
}

/** Signs what the own files come to, and hands the signature over. Errors: `conflict` where the coordinator differs. */
export async function signAndTell(
  context: Context,
  own: OwnRelease,
  answered: { release: number; pins: Readonly<Record<string, Pin>> },
  key: SigningKey,
) {
  const signable = signableFrom(own, answered.release, answered.pins);
  const body = { key: key.name, publicKey: key.publicKey, value: signRelease(key.privateKey, signable) };
  const params = { app: own.app, release: answered.release };
  const signed = await context.api().signRelease({ params, body }, context.signal);
  return { ...signed, signable };
}

/** What the signature leaves to tenants, for people. */
export function sayOpen(context: Context, key: SigningKey, { release, app, open }: Signable): void {
  const { output } = context;
  output.print(`${app}: release ${release} is signed by ${key.name}, ${keyFingerprint(key.publicKey)}`);
  const lines = Object.entries(open).map(
    ([service, { environment, parts }]) => `  ${service}: ${[...environment, ...parts].join(', ')}`,
  );
  output.show(
    lines.length === 0
      ? 'Nothing of it is left to its tenants.'
      : `Left to its tenants, all else is signed:\n${clean(lines.join('\n'))}`,
  );
}

function ownOf(
  context: Context,
  app: string,
  file: string,
  flags: SignFlags & Pick<ReleaseFiles, 'set'>,
): OwnRelease {
  return ownRelease(app, readRelease(context.cwd, { file, set: flags.set, label: [] }), file, flags);
}

/** All that is missing at once; the whole command with it, for whoever has typed nothing but the release. */
function allMissing(
  shown: ToSign,
  own: OwnRelease | null,
  options: readonly string[],
  key: 'there' | 'missing',
): UsageError {
  const missing = [
    ...(own === null ? ['-f compose.yaml'] : []),
    ...options,
    ...(key === 'missing' ? ['--key ci.key'] : []),
  ];
  const digests = options.some((each) => each.startsWith('--image-digest'))
    ? ' Digests are what your build printed; --trust-digests signs those that the coordinator found.'
    : '';
  return new UsageError(
    `To sign release ${shown.release} of ${shown.app} it also takes ${missing.join(' ')}`,
    `All of it: ${signCommand(shown)}.${digests}`,
  );
}

export function registerSigning(release: Command, contextOf: ContextOf): void {
  const sign = addSignOptions(
    release
      .command('sign')
      .description('sign a release, for hosts that run only what is signed')
      .argument('<app>')
      .argument('<release>')
      .option('-f, --file <compose.yaml>', 'your own copy of the file that it was made from')
      .option('--set <k=v>', 'a variable of the release, as when it was made; may be said again', collect)
      .option('--key <file>', 'the private key, PEM; without it BERTH_SIGNING_KEY holds the PEM itself')
      .option('--show', 'print what would be signed, and sign nothing'),
  );
  examples(sign, [
    [
      'berth release sign shop 13 -f compose.yaml --set VERSION=2 --key ci.key --image-digest web=sha256:…',
      '',
    ],
    [
      'berth release sign shop 13 -f compose.yaml --set VERSION=2 --show --trust-digests',
      'what would be signed',
    ],
  ]);
  const options = SignFlags.extend({
    file: z.string().optional(),
    set: z.array(z.string()).default([]),
    key: z.string().optional(),
    show: z.boolean().default(false),
  });
  does(sign, contextOf, options, async (context, args, flags) => {
    const { output } = context;
    const app = argument(args, 0);
    const number = parseCount(argument(args, 1), 'the release');
    const own = flags.file === undefined ? null : ownOf(context, app, flags.file, flags);
    const given = {
      set: Object.fromEntries(flags.set.map((text) => parseVariable(text, '--set'))),
      digests: parseDigests(flags.imageDigest),
      trust: flags.trustDigests ? ('coordinator' as const) : ('nobody' as const),
    };
    const shown = await context.api().showRelease({ params: { app, release: number } }, context.signal);
    const missing = openOptions(own, given, shown);
    const key =
      flags.show || flags.key !== undefined || hasKeyInEnvironment(context.env) ? 'there' : 'missing';
    if (own === null || (missing.length > 0 && key === 'missing') || missing.length > 1)
      throw allMissing({ ...shown, app, release: number }, own, missing, key);
    checkSignable(own);
    if (flags.show) {
      const signable = signableFrom(own, number, shown.pins);
      const said = { text: signedText(signable), signed: boundPart(signable) };
      output.json(said);
      output.quote(`${said.text}\n\n${clean(JSON.stringify(said.signed, null, 2))}`);
      return;
    }
    const signer = readSigningKey({ file: flags.key, name: flags.keyName }, context.env, context.cwd);
    const { signable, ...signed } = await signAndTell(context, own, shown, signer);
    output.json({ ...signed, open: signable.open });
    sayOpen(context, signer, signable);
  });

  const keygen = release
    .command('keygen')
    .description('make a key that signs releases')
    .requiredOption('--out <file>', 'a new file for the private key; it goes to where releases are made');
  examples(keygen, [['berth release keygen --out ci-2026.key', '']]);
  does(keygen, contextOf, z.object({ out: z.string() }), (context, _args, { out }) => {
    const publicKey = makeSigningKey(out, context.cwd);
    const { name } = readSigningKey({ file: out }, context.env, context.cwd);
    const publicFile = publicFileOf(out);
    const releases = { requireSignature: true, keys: [{ name, publicKey }] };
    context.output.json({ name, publicKey, fingerprint: keyFingerprint(publicKey), file: out, publicFile });
    context.output.print(
      `${out} has the private key: give it to your CI, and to nobody else. ${publicFile} is for everybody.`,
    );
    context.output.print(
      `A pool that is to run only what it signs: berth pool signers set POOL --key ${publicFile} --sign-with ${out}`,
    );
    context.output.quote(
      `Or, where a host is to go by nothing else, into its agent's configuration:\n\n${JSON.stringify({ releases }, null, 2)}`,
    );
    return Promise.resolve();
  });
}
