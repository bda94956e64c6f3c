import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { Sentence } from './log.mjs';

/**
 * Runs a program with an argument array and waits. Output is kept, not shown; a failure carries its last lines.
 * @param {string} file @param {string[]} args
 * @param {{cwd?: string, env?: Record<string, string|undefined>, what?: string, allowFailure?: boolean}} [options]
 *   `what` begins the sentence of a failure, such as "installing packages".
 * @returns {Promise<{code: number, stdout: string, stderr: string}>}
 */
export function run(file, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const out = [];
    const err = [];
    child.stdout.on('data', (chunk) => out.push(chunk));
    child.stderr.on('data', (chunk) => err.push(chunk));
    const what = options.what ?? `${file} ${args[0] ?? ''}`.trim();
    child.on('error', (error) => reject(new Sentence(`${what} failed: ${error.message}`)));
    child.on('close', (code, signal) => {
      const stdout = Buffer.concat(out).toString();
      const stderr = Buffer.concat(err).toString();
      if (code === 0 || options.allowFailure) return resolve({ code: code ?? 1, stdout, stderr });
      const tail = `${stdout}\n${stderr}`.trim().split('\n').slice(-15).join('\n    ');
      reject(new Sentence(`${what} failed (${signal ?? `exit ${code}`}):\n    ${tail}`));
    });
  });
}

/**
 * Runs a program on our own terminal and hands signals on to it.
 * @returns {Promise<number>} its exit code; 128 + n when signal n ended it
 */
export function runAttached(file, args, { env = process.env, cwd, foreground = () => false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, env, stdio: 'inherit' });
    const handed = new Map();
    const hand = (signal) => {
      // npm hands on what the whole group has got as well: the same signal at once is one signal.
      const now = Date.now();
      if (now - (handed.get(signal) ?? 0) < 1000) return;
      handed.set(signal, now);
      // A terminal sends Ctrl-C to every process of its foreground group: the child has it already.
      if (signal === 'SIGINT' && foreground()) return;
      child.kill(signal);
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, hand);
    const done = () => {
      for (const signal of signals) process.off(signal, hand);
    };
    child.on('error', (error) => {
      done();
      reject(new Sentence(`${file} could not be started: ${error.message}`));
    });
    child.on('close', (code, signal) => {
      done();
      resolve(code ?? 128 + ({ SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }[signal] ?? 1));
    });
  });
}

export const systemPath = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Absolute path of a program, or undefined. Looks into the sbin directories too: a user's PATH often leaves them out. */
export function which(name) {
  const path = [...(process.env.PATH ?? '').split(':').filter(Boolean), ...systemPath];
  for (const dir of path) {
    const file = join(dir, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // not here
    }
  }
  return undefined;
}
