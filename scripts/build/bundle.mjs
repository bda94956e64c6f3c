import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { withLock } from '../bootstrap/lock.mjs';
import { say, Sentence } from '../bootstrap/log.mjs';
import { distDir, root } from '../bootstrap/paths.mjs';
import { onDemand, partsOf } from './on-demand.mjs';
import { unusedPackages } from './unused-packages.mjs';

const PROGRAMS = ['coordinator', 'agent', 'cli'];

/** Native, so it cannot be bundled; found from dist/ through a link that moves with the clone. */
const NATIVE = [{ name: 'better-sqlite3', from: 'packages/coordinator/node_modules/better-sqlite3' }];

/** Tried and done without by their users (`ws`, `pg`) when they are not there. */
const OPTIONAL = ['bufferutil', 'utf-8-validate', 'pg-native'];

const stampFile = join(distDir, '.stamp');

/**
 * Bundles the three programs to dist/, when a source has changed since the last time.
 * @returns {Promise<string[]>} the programs that dist/ holds; one without an entry point is left out
 */
export async function buildAll() {
  const programs = PROGRAMS.filter((name) => existsSync(entryOf(name)));
  const wanted = fingerprint(programs);
  if (isCurrent(wanted, programs)) return programs;
  await withLock(`${distDir}.lock`, async () => {
    if (isCurrent(wanted, programs)) return;
    const begun = Date.now();
    for (const name of PROGRAMS)
      if (!programs.includes(name)) say(`no packages/${name}/src/main.ts yet: not built`);
    await bundle(programs);
    writeFileSync(stampFile, wanted);
    say(`built ${programs.join(', ') || 'nothing'} in ${((Date.now() - begun) / 1000).toFixed(1)} s`);
  });
  return programs;
}

const entryOf = (name) => join(root, 'packages', name, 'src', 'main.ts');

async function bundle(programs) {
  const esbuild = await import(pathToFileURL(join(root, 'node_modules', 'esbuild', 'lib', 'main.js')).href);
  mkdirSync(distDir, { recursive: true });
  if (programs.length > 0) {
    let result;
    try {
      result = await esbuild.build({
        entryPoints: [
          ...programs.map((name) => ({ in: entryOf(name), out: name })),
          ...partsOf(programs).map((part) => ({ in: part.in, out: part.out })),
        ],
        absWorkingDir: root,
        outdir: distDir,
        write: false,
        bundle: true,
        format: 'esm',
        platform: 'node',
        target: 'node24',
        // Node keeps a program's text in memory: without blanks and comments it is 3 MB less, on every host. Names
        // stay as they are, so a stack says where it was; the map says which line.
        minifyWhitespace: true,
        minifySyntax: true,
        lineLimit: 160,
        sourcemap: 'linked',
        sourcesContent: false,
        legalComments: 'none',
        external: [...NATIVE.map((item) => item.name), ...OPTIONAL],
        plugins: [onDemand, unusedPackages],
        // Bundled CommonJS packages ask for Node's own modules with require().
        banner: {
          js: "import { createRequire as berthRequire } from 'node:module'; const require = berthRequire(import.meta.url);",
        },
        logLevel: 'silent',
      });
    } catch (error) {
      const messages = await esbuild.formatMessages(error.errors ?? [], { kind: 'error', color: false });
      throw new Sentence(`the build failed:\n${messages.join('\n') || error.message}`);
    }
    // Written beside and renamed: a program that starts meanwhile reads the old file or the new one, never half of one.
    for (const file of result.outputFiles) writeAtomically(join(distDir, basename(file.path)), file.contents);
  }
  writeAtomically(join(distDir, 'package.json'), '{"type":"module"}\n');
  linkNative();
}

function writeAtomically(path, contents) {
  writeFileSync(`${path}.new`, contents);
  renameSync(`${path}.new`, path);
}

function linkNative() {
  const modules = join(distDir, 'node_modules');
  mkdirSync(modules, { recursive: true });
  for (const { name, from } of NATIVE) {
    rmSync(join(modules, name), { recursive: true, force: true });
    symlinkSync(relative(modules, join(root, from)), join(modules, name));
  }
}

function isCurrent(wanted, programs) {
  if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== wanted) return false;
  const files = [...programs, ...partsOf(programs).map(({ out }) => out)];
  return files.every((name) => existsSync(join(distDir, `${name}.js`)));
}

/** SHA-256 over everything that decides what comes out. */
function fingerprint(programs) {
  const hash = createHash('sha256').update(programs.join());
  const files = [
    'pnpm-lock.yaml',
    'scripts/build/bundle.mjs',
    'scripts/build/on-demand.mjs',
    'scripts/build/unused-packages.mjs',
  ];
  for (const name of readdirSync(join(root, 'packages'))) {
    const source = join('packages', name, 'src');
    if (!existsSync(join(root, source))) continue;
    for (const entry of readdirSync(join(root, source), { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) files.push(relative(root, join(entry.parentPath ?? entry.path, entry.name)));
    }
  }
  for (const file of files.sort()) hash.update(`\0${file}\0`).update(readFileSync(join(root, file)));
  return hash.digest('hex');
}
