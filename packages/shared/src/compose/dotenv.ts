export interface DotenvEntry {
  name: string;
  line: number;
  /** Undefined for a bare `NAME`: the value comes from the tenant's variables. */
  value: string | undefined;
  /** The value has variables to fill in: it is not in single quotes and the format is not `raw`. */
  expands: boolean;
}

export interface Dotenv {
  entries: DotenvEntry[];
  problems: { line: number; message: string }[];
}

/**
 * Reads an env file as Compose does: `NAME=value`, `export NAME=value`, `NAME: value`, comments, single quotes
 * (literal), double quotes (escapes, may span lines), and ` #` comments after unquoted values.
 */
export function parseDotenv(text: string, format: 'default' | 'raw'): Dotenv {
  const result: Dotenv = { entries: [], problems: [] };
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  let i = 0;
  while (i < lines.length) {
    const at = i + 1;
    const line = lines[i] ?? '';
    i += 1;
    if (/^\s*(#|$)/.test(line)) continue;
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:([=:])[ \t]*(.*))?$/s.exec(line);
    const name = match?.[1];
    if (match === null || name === undefined) {
      result.problems.push({ line: at, message: 'is not NAME=value, a comment or an empty line' });
      continue;
    }
    if (match[2] === undefined) {
      result.entries.push({ name, line: at, value: undefined, expands: false });
      continue;
    }
    const first = match[3] ?? '';
    const quote = first[0];
    if (format === 'raw' || (quote !== '"' && quote !== "'")) {
      const value = format === 'raw' ? first : first.replace(/(^|\s)#.*$/s, '').trimEnd();
      result.entries.push({ name, line: at, value, expands: format === 'default' });
      continue;
    }
    const quoted = readQuoted(first.slice(1), quote, lines, i);
    if (quoted === undefined) {
      result.problems.push({ line: at, message: `has a ${quote} that is never closed` });
      break;
    }
    i = quoted.next;
    if (!/^\s*(#.*)?$/s.test(quoted.after)) {
      result.problems.push({ line: at, message: 'has text after the closing quote' });
      continue;
    }
    const value = quote === '"' ? unescape(quoted.value) : quoted.value;
    result.entries.push({ name, line: at, value, expands: quote === '"' });
  }
  return result;
}

function readQuoted(
  first: string,
  quote: string,
  lines: readonly string[],
  next: number,
): { value: string; after: string; next: number } | undefined {
  let value = '';
  let rest = first;
  let line = next;
  for (;;) {
    for (let i = 0; i < rest.length; i += 1) {
      if (rest[i] === '\\' && i + 1 < rest.length) {
        value += rest.slice(i, i + 2);
        i += 1;
      } else if (rest[i] === quote) {
        return { value, after: rest.slice(i + 1), next: line };
      } else {
        value += rest[i];
      }
    }
    const following = lines[line];
    if (following === undefined) return undefined;
    value += '\n';
    rest = following;
    line += 1;
  }
}

/** `\$` becomes `$$`, so that interpolation leaves the dollar alone. */
function unescape(text: string): string {
  return text.replaceAll(/\\(.)/gs, (whole, c: string) => {
    if (c === 'n') return '\n';
    if (c === 'r') return '\r';
    if (c === 't') return '\t';
    if (c === '$') return '$$';
    return c === '"' || c === '\\' ? c : whole;
  });
}
