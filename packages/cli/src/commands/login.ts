import { createClient } from '@berth/shared/api/client';
import { z } from 'zod';
import { loginPath, parseUrl, readTokenFile, writeLogin } from '../config.ts';
import type { Context } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { exchangeAsJob } from '../github-oidc.ts';
import { timestamp } from '../output/format.ts';
import { askHidden, readStdin } from '../output/ask.ts';
import { argument, examples, GlobalOptions, type Register } from './define.ts';

export const registerLogin: Register = (program, contextOf) => {
  const login = program
    .command('login')
    .description('remember a coordinator and the token to use there')
    .argument('<url>', 'address of the coordinator, such as https://berth.example.com')
    .option('--token <token>', "the token; '-' reads it from stdin, which keeps it out of the process list");
  login
    .option('--github-oidc', 'log in as this job of GitHub Actions, which a trust rule lets in')
    .option('--audience <text>', 'with --github-oidc: what the trust rule names; without it, the address');
  examples(login, [
    ['berth login https://berth.example.com', 'asks for the token'],
    ['berth login https://berth.example.com --token - < token', ''],
    ['berth login https://berth.example.com --token-file token', ''],
    ['berth login https://berth.example.com --github-oidc', 'in a job of GitHub Actions'],
  ]);
  login.action(async () => {
    const globals = GlobalOptions.parse(login.optsWithGlobals());
    const options = Options.parse(login.opts());
    const context = contextOf(globals);
    const url = parseUrl(argument(login.args, 0));
    const given = [options.token, options.githubOidc, globals.tokenFile].filter((each) => each !== undefined);
    if (given.length > 1) throw new UsageError('Give one of --token, --token-file and --github-oidc.');
    if (options.audience !== undefined && options.githubOidc === undefined)
      throw new UsageError('--audience goes with --github-oidc.');
    const token =
      options.githubOidc === undefined
        ? await tokenOf(context, options.token, globals.tokenFile)
        : (await exchanged(context, url, options.audience)).token;
    await work(context, url, token);
  });
};

const Options = z.object({
  token: z.string().optional(),
  githubOidc: z.literal(true).optional(),
  audience: z.string().optional(),
});

/** A deployer token for the job of GitHub Actions that runs this. */
async function exchanged(
  context: Context,
  url: string,
  audience: string | undefined,
): Promise<{ token: string }> {
  const made = await exchangeAsJob(context, url, audience);
  context.output.note(`May deploy ${made.apps.join(', ')} until ${timestamp(made.expiresAt)} UTC.`);
  return made;
}

async function work(context: Context, url: string, token: string): Promise<void> {
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
  if (tokenFile !== undefined)
    return readTokenFile(tokenFile, (sentence) => context.output.note(`warning: ${sentence}`));
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
