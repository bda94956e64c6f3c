import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureDependencies } from './bootstrap/dependencies.mjs';
import { main, say } from './bootstrap/log.mjs';
import { root } from './bootstrap/paths.mjs';
import { run } from './bootstrap/run.mjs';
import { ensureToolchain, nodeBin, toolEnvironment } from './bootstrap/toolchain.mjs';

const CHECKS = [
  { name: 'types', package: 'typescript', bin: 'tsc', args: ['--noEmit', '-p', 'tsconfig.json'] },
  { name: 'lint', package: 'oxlint', bin: 'oxlint', args: ['--deny-warnings'] },
  { name: 'format', package: 'prettier', bin: 'prettier', args: ['--check', '--log-level=warn', '.'] },
];

main(async () => {
  await ensureToolchain();
  await ensureDependencies();
  const failed = [];
  for (const check of CHECKS) {
    const begun = Date.now();
    const result = await run(nodeBin, [binOf(check), ...check.args], {
      cwd: root,
      env: toolEnvironment(),
      allowFailure: true,
    });
    const output = `${result.stdout}${result.stderr}`.trim();
    if (result.code !== 0) {
      failed.push(check.name);
      process.stdout.write(`${output}\n`);
    }
    say(
      `${check.name}: ${result.code === 0 ? 'ok' : 'FAILED'} in ${((Date.now() - begun) / 1000).toFixed(1)} s`,
    );
  }
  say(failed.length === 0 ? 'types, lint and format are in order' : `failed: ${failed.join(', ')}`);
  return failed.length === 0 ? 0 : 1;
});

function binOf({ package: name, bin }) {
  const dir = join(root, 'node_modules', name);
  const manifest = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'));
  return join(dir, typeof manifest.bin === 'string' ? manifest.bin : manifest.bin[bin]);
}
