import { createClient } from '@berth/shared/api/client';
import { z } from 'zod';
import { loginPath, parseUrl, readTokenFile, writeLogin } from '../config.ts';
import type { Context } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { askHidden, readStdin } from '../output/ask.ts';
import { argument, examples, GlobalOptions, type Register } from './define.ts';

export const registerLogin: Register = (program, contextOf) => {
  const login = program
    .command('login')
    .description('remember a coordinator and the token to use there')
    .argument('<url>', 'address of the coordinator, such as https://berth.example.com')
    .option('--token <token>', "the token; '-' reads it from stdin, which keeps it out of the process list");
  examples(login, [
    ['berth login https://berth.example.com', 'asks for the token'],
    ['berth login https://berth.example.com --token - < token', ''],
    ['berth login https://berth.example.com --token-file token', ''],
  ]);
  login.action(async () => {
    const globals = GlobalOptions.parse(login.optsWithGlobals());
    const { token } = z.object({ token: z.string().optional() }).parse(login.opts());
    await work(contextOf(globals), argument(login.args, 0), token, globals.tokenFile);
  });
};

async function work(
  context: Context,
  address: string,
  given: string | undefined,
  tokenFile: string | undefined,
): Promise<void> {
  const url = parseUrl(address);
  const token = await tokenOf(context, given, tokenFile);
  const status = await createClient({ url, token }).status({}, context.signal);
  const path = loginPath(context.env);
  writeLogin(path, { url, token });
  context.output.print(
    `Logged in to ${url} (version ${status.version}, ${status.tenants.total} tenants). The login is in ${path}.`,
  );
  context.output.json({ url, version: status.version, config: path });
}

async function tokenOf(
  context: Context,
  given: string | undefined,
  tokenFile: string | undefined,
): Promise<string> {
  if (given !== undefined && tokenFile !== undefined) {
    throw new UsageError('Give --token or --token-file, not both.');
  }
  if (tokenFile !== undefined) return readTokenFile(tokenFile);
  if (given !== undefined && given !== '-') {
    context.output.note(
      'warning: a token on the command line can be read by every user of this machine and stays in the shell history; use --token - or --token-file.',
    );
    return given;
  }
  const tty = context.stdin.isTTY === true;
  const token =
    given === undefined && tty
      ? await askHidden(context, 'Token: ')
      : (await readStdin(context, 'a token', 65_536)).trim();
  if (token === '')
    throw new UsageError('No token was given.', 'Pipe it in: berth login URL --token - < file');
  return token;
}
