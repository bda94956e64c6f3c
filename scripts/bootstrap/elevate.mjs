import { say, Sentence } from './log.mjs';
import { inForeground } from './process.mjs';
import { runAttached, systemPath, which } from './run.mjs';

const KEPT = ['BERTH_HOME', 'DOCKER_HOST', 'PATH', 'NO_COLOR', 'FORCE_COLOR', 'CI', 'TERM'];

/**
 * Docker, nft and Nginx want root. When we are not root, runs the same script again under sudo and returns its exit
 * code; returns undefined when we are root already. What belongs to the user (tools, packages, the build) is done
 * before, so that it stays the user's.
 */
export async function elevate(why) {
  if (process.getuid?.() === 0) {
    // sudo may have kept a user's PATH, without the directories that dockerd, iptables and nft are in.
    const path = (process.env.PATH ?? '').split(':').filter(Boolean);
    process.env.PATH = [...path, ...systemPath.filter((dir) => !path.includes(dir))].join(':');
    return undefined;
  }
  const sudo = which('sudo');
  if (!sudo) throw new Sentence(`${why} needs root, and there is no sudo here. Run it as root.`);
  say(`${why} needs root: continuing with sudo`);
  const kept = KEPT.concat(
    Object.keys(process.env).filter((name) => name.startsWith('BERTH_') && name !== 'BERTH_HOME'),
  );
  const [script, ...args] = process.argv.slice(1);
  const argv = [`--preserve-env=${kept.join(',')}`, '--', process.execPath, script, ...args];
  return runAttached(sudo, argv, { foreground: inForeground });
}
