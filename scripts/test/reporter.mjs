import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/**
 * One line per test file, then what failed in full, what was skipped with its reason, and the counts as JSON in the
 * file that BERTH_TEST_RESULT names.
 */
export default class Reporter {
  #root = process.cwd();

  onInit(vitest) {
    this.#root = vitest.config.root;
  }

  onTestModuleEnd(module) {
    const tests = [...module.children.allTests()];
    const failed = tests.filter((test) => test.result().state === 'failed').length;
    const broken = module.errors().length > 0 || suiteErrors(module).length > 0;
    const seconds = (module.diagnostic().duration / 1000).toFixed(1).padStart(6);
    const mark = failed > 0 || broken ? 'FAILED' : 'ok';
    const count = failed > 0 ? `${failed} of ${tests.length} failed` : `${tests.length} tests`;
    this.#print(`${mark.padEnd(6)} ${seconds}s  ${relative(this.#root, module.moduleId)}  (${count})`);
  }

  onTestRunEnd(modules, unhandled, reason) {
    let passed = 0;
    let failed = 0;
    const skipped = [];
    for (const module of modules) {
      const file = relative(this.#root, module.moduleId);
      for (const error of [...module.errors(), ...suiteErrors(module)]) {
        // A file that does not load, or a hook that throws, is a failure although no test of it may have run.
        failed += 1;
        this.#print(`\nFAILED ${file}\n${text(error)}`);
      }
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === 'passed') passed += 1;
        else if (result.state === 'failed') {
          failed += 1;
          this.#print(`\nFAILED ${file} > ${test.fullName}\n${result.errors.map(text).join('\n')}`);
        } else skipped.push(`${file} > ${test.fullName}: ${result.note ?? 'no reason given'}`);
      }
    }
    for (const error of unhandled) this.#print(`\nUNHANDLED ERROR\n${text(error)}`);
    if (skipped.length > 0) this.#print(`\nskipped:\n  ${skipped.join('\n  ')}`);
    if (reason === 'interrupted') this.#print('\ninterrupted');
    const file = process.env.BERTH_TEST_RESULT;
    const errors = unhandled.length + (reason === 'interrupted' ? 1 : 0);
    if (file) writeFileSync(file, JSON.stringify({ passed, failed, skipped: skipped.length, errors }));
  }

  #print(line) {
    process.stdout.write(`${line}\n`);
  }
}

const suiteErrors = (module) => [...module.children.allSuites()].flatMap((suite) => suite.errors());

function text(error) {
  const stack = error.stack ?? `${error.name ?? 'Error'}: ${error.message}`;
  const own = stack.split('\n').filter((line) => !/^\s+at .*(node_modules|node:internal)/.test(line));
  const diff = error.diff ? `\n${plain(error.diff)}` : '';
  const cause = error.cause ? `\ncaused by: ${text(error.cause)}` : '';
  return `${own.join('\n')}${diff}${cause}`;
}

/** Colour is for a terminal. */
const plain = (string) => (process.stdout.isTTY ? string : stripVTControlCharacters(string));
