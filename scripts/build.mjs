import { ensureDependencies } from './bootstrap/dependencies.mjs';
import { main, say } from './bootstrap/log.mjs';
import { ensureToolchain } from './bootstrap/toolchain.mjs';
import { buildAll } from './build/bundle.mjs';

main(async () => {
  await ensureToolchain();
  await ensureDependencies();
  const programs = await buildAll();
  say(`dist/ holds ${programs.map((name) => `${name}.js`).join(', ') || 'no program yet'}`);
});
