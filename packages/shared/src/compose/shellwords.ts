export type Words = { ok: true; words: string[] } | { ok: false; message: string };

/**
 * Splits a command line into arguments the way Compose does: spaces, single and double quotes, backslashes (`\n` and
 * `\t` become what they name). There is no shell, so an operator outside quotes is an error rather than a surprise:
 * Compose silently drops everything after it.
 */
export function splitWords(line: string): Words {
  const words: string[] = [];
  let word = '';
  let begun = false;
  let quote = '';
  for (let i = 0; i < line.length; i += 1) {
    const c = line[i] ?? '';
    if (c === '\\' && quote !== "'") {
      i += 1;
      const next = line[i];
      if (next === undefined) return { ok: false, message: 'ends in a lone backslash' };
      word += next === 'n' ? '\n' : next === 't' ? '\t' : next;
      begun = true;
    } else if (quote !== '') {
      if (c === quote) quote = '';
      else word += c;
    } else if (c === "'" || c === '"') {
      quote = c;
      begun = true;
    } else if (' \t\r\n'.includes(c)) {
      if (begun) words.push(word);
      word = '';
      begun = false;
    } else if (';&|<>('.includes(c)) {
      return {
        ok: false,
        message: `has \`${c}\` outside quotes, but no shell reads it; quote it, or write ["sh", "-c", "…"]`,
      };
    } else {
      word += c;
      begun = true;
    }
  }
  if (quote !== '') return { ok: false, message: `has a ${quote} that is never closed` };
  if (begun) words.push(word);
  return { ok: true, words };
}
