import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { NewSecret } from '@berth/shared/api/secrets';
import { MAX_SECRET_BYTES, SecretName, SecretReference } from '@berth/shared/domain/secret';
import type { Context } from './context.ts';
import { UsageError } from './exit-codes.ts';
import { askHidden } from './output/ask.ts';
import { whyUnreadable } from './read-text.ts';

const TOO_LARGE = `A secret is ${MAX_SECRET_BYTES / 1024} KB at most; keep larger things in a volume or in the image.`;

/** Where a value comes from; a command line is never it. */
export interface SecretSource {
  file?: string | undefined;
  from?: string | undefined;
}

/** Errors: UsageError. */
export function secretName(text: string): string {
  const name = SecretName.safeParse(text);
  if (name.success) return name.data;
  throw new UsageError(`${text}: ${name.error.issues[0]?.message ?? 'not the name of a secret'}.`);
}

/**
 * A secret's value: of a file byte by byte; of a terminal as it is typed, without echo; of stdin as it comes, but a single
 * line without its end, since `echo` and most editors add one. Errors: UsageError for none, or for more than fits.
 */
export async function readSecret(
  context: Context,
  name: string,
  { file, from }: SecretSource,
): Promise<NewSecret> {
  if (file !== undefined && from !== undefined) throw new UsageError('Give --file or --from, not both.');
  if (from !== undefined) {
    const reference = SecretReference.safeParse(from);
    if (!reference.success)
      throw new UsageError(`${reference.error.issues[0]?.message ?? 'This is no reference'}.`);
    return { kind: 'reference', from: reference.data };
  }
  const value =
    file === undefined ? await typedOrPiped(context, name) : readBytes(resolve(context.cwd, file), file);
  if (value.length === 0)
    throw new UsageError(`No value for ${name} was given, and a secret is never empty.`);
  if (value.length > MAX_SECRET_BYTES) throw new UsageError(TOO_LARGE);
  return { kind: 'value', value: value.toString('base64') };
}

async function typedOrPiped(context: Context, name: string): Promise<Buffer> {
  if (context.stdin.isTTY === true) return Buffer.from(await askHidden(context, `${name}: `));
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of context.stdin) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    size += bytes.length;
    if (size > MAX_SECRET_BYTES + 2) throw new UsageError(TOO_LARGE);
    chunks.push(bytes);
  }
  return withoutLineEnd(Buffer.concat(chunks));
}

/** Of a single line. What has several, such as a PEM file, is left as it is. */
export function withoutLineEnd(bytes: Buffer): Buffer {
  const first = bytes.indexOf(0x0a);
  if (first === -1 || first !== bytes.length - 1) return bytes;
  return bytes.subarray(0, bytes[first - 1] === 0x0d ? first - 1 : first);
}

function readBytes(path: string, shown: string): Buffer {
  try {
    if (statSync(path).size > MAX_SECRET_BYTES) throw new UsageError(TOO_LARGE);
    return readFileSync(path);
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new UsageError(`--file ${shown} could not be read: ${whyUnreadable(cause)}.`);
  }
}

/**
 * `NAME` (typed), `NAME=-` (stdin), `NAME=@file`, `NAME=aws-ssm:/path`: what `tenant create --secret` takes. A value itself
 * is refused, for everybody on the machine could read it. Errors: UsageError.
 */
export async function readSecretFlags(
  context: Context,
  flags: readonly string[],
): Promise<Record<string, NewSecret>> {
  const secrets: Record<string, NewSecret> = {};
  if (flags.filter((flag) => flag.endsWith('=-')).length > 1)
    throw new UsageError('Only one --secret can be read from stdin; give the others as NAME=@file.');
  for (const flag of flags) {
    const at = flag.indexOf('=');
    const name = secretName(at === -1 ? flag : flag.slice(0, at));
    const where = at === -1 ? '' : flag.slice(at + 1);
    if (where === '' && context.stdin.isTTY !== true)
      throw new UsageError(
        `Nobody can be asked for ${name} here.`,
        `Say --secret ${name}=- or ${name}=@file.`,
      );
    if (where.startsWith('@')) secrets[name] = await readSecret(context, name, { file: where.slice(1) });
    else if (where.startsWith('aws-')) secrets[name] = await readSecret(context, name, { from: where });
    else if (where === '' || where === '-') secrets[name] = await readSecret(context, name, {});
    else
      throw new UsageError(
        `--secret ${name}: a value on the command line can be read by everybody on this machine.`,
        `Say ${name}=- for stdin, ${name}=@file, or ${name} alone to be asked.`,
      );
  }
  return secrets;
}
