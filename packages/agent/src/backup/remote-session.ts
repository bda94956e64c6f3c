import { randomBytes } from 'node:crypto';
import { messageOf } from '@berth/shared/domain/errors';
import { lastLines } from '../system/text.ts';
import { databaseArgument } from './connection.ts';
import { calm, databaseError, type Session } from './session.ts';
import { remoteEnvironment, type DatabaseAddress } from './address.ts';

/** Between columns there is nothing, between rows a zero byte: no text of PostgreSQL's holds one. */
const ARGUMENTS = ['-X', '-q', '-A', '-t', '-0', '-v', 'ON_ERROR_STOP=1'] as const;

/**
 * A session by the psql of the database's own container, which is told one statement at a time. Errors: as `openSession`.
 */
export async function openRemoteSession(
  address: Extract<DatabaseAddress, { kind: 'exec' }>,
  signal: AbortSignal,
): Promise<Session> {
  const where = `database ${JSON.stringify(address.database)} in ${address.programs.where}`;
  const psql = await address.programs.start(['psql', ...ARGUMENTS, databaseArgument(address.database)], {
    env: remoteEnvironment(address),
    signal,
  });
  // Told by the end of the program.
  psql.stdin.on('error', () => undefined);
  psql.stdout.on('error', () => undefined);
  const output = psql.stdout[Symbol.asyncIterator]();
  const decoder = new TextDecoder();
  let rest = '';

  async function ended(): Promise<Error> {
    try {
      const { code, stderr } = await psql.ended;
      const lines = lastLines(stderr, 3, 300);
      const refused = /password authentication failed|does not exist|permission denied|must be/.test(stderr);
      return Object.assign(
        new Error(lines.join(' · ') || `psql ended with ${code}`),
        refused ? { code: '42501' } : {},
      );
    } catch (thrown) {
      return new Error(messageOf(thrown), { cause: thrown });
    }
  }
  const texts = async (sql: string): Promise<string[]> => {
    // No answer can hold it, as nobody has known it before.
    const mark = randomBytes(12).toString('hex');
    psql.stdin.write(`${sql.replace(/;?\s*$/, '')};\nselect '${mark}';\n`);
    for (;;) {
      const at = rest.indexOf(`${mark}\0`);
      if (at >= 0) {
        const answer = rest.slice(0, at);
        rest = rest.slice(at + mark.length + 1);
        return answer === '' ? [] : answer.slice(0, -1).split('\0');
      }
      const next: IteratorResult<unknown> = await output
        .next()
        .catch(() => ({ done: true, value: undefined }));
      if (next.done === true || !Buffer.isBuffer(next.value)) throw databaseError(await ended(), where);
      rest += decoder.decode(next.value, { stream: true });
    }
  };
  const close = async (): Promise<void> => {
    psql.stdin.end();
    psql.stop();
    await psql.ended.catch(() => undefined);
  };
  try {
    await calm(texts);
    const [version = ''] = await texts('show server_version');
    return { where, serverVersion: /^\S+/.exec(version)?.[0] ?? version, texts, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}
