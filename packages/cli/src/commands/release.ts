import { whoText } from '@berth/shared/domain/actor';
import { z } from 'zod';
import { namingFile, readRelease } from '../apply.ts';
import type { Context } from '../context.ts';
import { checkSignable, type OwnRelease } from '../signing.ts';
import { readSigningKey, type SigningKey } from '../signing-key.ts';
import { UsageError } from '../exit-codes.ts';
import { readStdin } from '../output/ask.ts';
import { shortDigests, timestamp } from '../output/format.ts';
import { clean } from '../output/style.ts';
import { fields, table } from '../output/table.ts';
import { argument, collect, does, examples, NoOptions, type Register } from './define.ts';
import { allPages } from './pages.ts';
import { parseCount } from './parse.ts';
import {
  addSignOptions,
  ownRelease,
  registerSigning,
  sayOpen,
  signAndTell,
  SignFlags,
} from './release-sign.ts';
import { diffView, imagesWords, labelText, noteWarnings, releaseTable } from './release-text.ts';

/** Key and files are looked at before anything is made. */
function signingOf(
  context: Context,
  app: string,
  body: ReturnType<typeof readRelease>,
  file: string,
  options: z.output<typeof SignFlags> & { signKey?: string | undefined },
): { own: OwnRelease; key: SigningKey } | undefined {
  if (options.signKey === undefined) {
    if (options.imageDigest.length > 0 || options.trustDigests || options.keyName !== undefined)
      throw new UsageError(
        '--image-digest, --trust-digests and --key-name say how to sign, and nothing is signed.',
        'Say --sign-key FILE as well.',
      );
    return undefined;
  }
  const given = options.signKey === '-' ? undefined : options.signKey;
  const key = readSigningKey({ file: given, name: options.keyName }, context.env, context.cwd);
  const own = ownRelease(app, body, file, options);
  checkSignable(own);
  return { own, key };
}

function signersText(signatures: readonly { key: string; fingerprint: string }[]): string {
  return signatures.map(({ key, fingerprint }) => clean(`${key} ${fingerprint}`)).join('\n') || 'nobody';
}

export const registerRelease: Register = (program, contextOf) => {
  const release = program.command('release').description('releases: versions of an app that never change');

  const create = addSignOptions(
    release
      .command('create')
      .description('make a release whose images are pinned by what they are in their registries now')
      .argument('<app>')
      .requiredOption('-f, --file <compose.yaml>', 'the Compose file; - reads it from stdin')
      .option('--set <k=v>', 'a variable of the release, such as VERSION=2; may be said again', collect)
      .option('--label <k=v>', 'a label of the release, such as commit=abc123', collect)
      .option(
        '--sign-key <file>',
        'sign it with this private key, PEM; - takes the PEM from BERTH_SIGNING_KEY',
      ),
  );
  examples(create, [
    ['berth release create shop -f compose.yaml --set VERSION=2', ''],
    ['berth release create shop -f compose.yaml --set VERSION=2 --label commit=abc123 --label build=57', ''],
  ]);
  const createOptions = SignFlags.extend({
    signKey: z.string().optional(),
    file: z.string(),
    set: z.array(z.string()).default([]),
    label: z.array(z.string()).default([]),
  });
  does(create, contextOf, createOptions, async (context, args, options) => {
    const { output } = context;
    const app = argument(args, 0);
    const stdin = options.file === '-';
    const source = stdin ? { file: 'stdin', text: await readStdin(context, 'a Compose file', 262_144) } : {};
    const files = { ...options, ...source };
    const body = readRelease(context.cwd, files);
    const signing = signingOf(context, app, body, files.file, options);
    const made = await namingFile(files.file, () =>
      context.api().createRelease({ params: { app }, body }, context.signal),
    );
    const signed =
      signing === undefined ? undefined : await signAndTell(context, signing.own, made, signing.key);
    output.json(signed === undefined ? made : { ...made, signatures: signed.signatures });
    noteWarnings(output, files.file, made.warnings);
    output.print(
      made.result === 'created'
        ? `${made.app}: release ${made.release} created, its images are pinned`
        : `${made.app}: nothing new, release ${made.release} stays the newest`,
    );
    for (const [service, { image, digest }] of Object.entries(made.pins))
      output.show(`  ${service}: ${image} ${output.style.dim(shortDigests(`@${digest}`).slice(1))}`);
    if (signing !== undefined && signed !== undefined) sayOpen(context, signing.key, signed.signable);
  });
  registerSigning(release, contextOf);

  const list = release.command('list').description('releases of an app, newest first').argument('<app>');
  does(list, contextOf, NoOptions, async (context, args) => {
    const params = { app: argument(args, 0) };
    const api = context.api();
    const items = await allPages((query) => api.listReleases({ params, query }, context.signal));
    context.output.json({ items });
    context.output.print(releaseTable(items, context.output.style));
  });

  const show = release
    .command('show')
    .description('one release: its images, variables and file')
    .argument('<app>')
    .argument('<release>');
  does(show, contextOf, NoOptions, async (context, args) => {
    const { output } = context;
    const params = { app: argument(args, 0), release: parseCount(argument(args, 1), 'the release') };
    const one = await context.api().showRelease({ params }, context.signal);
    output.json(one);
    const variables = Object.entries(one.variables).map(([name, value]) => clean(`${name}=${value}`));
    const files = Object.entries(one.envFiles).map(([path, size]) => clean(`${path} (${size})`));
    output.print(
      fields(
        [
          ['release', `${output.style.bold(String(one.release))} of ${one.app}`],
          ['created', `${timestamp(one.createdAt)} by ${clean(whoText(one.createdBy))}`],
          ['labels', labelText(one.labels) || 'none'],
          ['images', imagesWords(one.images)],
          ['signed by', signersText(one.signatures)],
          ['variables', variables.join('\n') || 'none'],
          ['env files', files.join('\n') || 'none'],
        ],
        output.style,
      ),
    );
    const pins = Object.entries(one.pins).map(([service, pin]) => [service, pin.image, pin.digest]);
    if (pins.length > 0) output.print(`\n${table(['SERVICE', 'IMAGE', 'DIGEST'], pins, output.style)}`);
    output.quote(`\n${clean(one.compose.trimEnd())}`);
  });

  const diff = release
    .command('diff')
    .description('what changes from one release to another')
    .argument('<app>')
    .argument('<from>')
    .argument('<to>');
  examples(diff, [['berth release diff shop 12 13', '']]);
  does(diff, contextOf, NoOptions, async (context, args) => {
    const params = {
      app: argument(args, 0),
      from: parseCount(argument(args, 1), 'the first release'),
      to: parseCount(argument(args, 2), 'the second release'),
    };
    const answer = await context.api().diffReleases({ params }, context.signal);
    context.output.json(answer);
    context.output.show(diffView(answer, context.output.style));
  });
};
