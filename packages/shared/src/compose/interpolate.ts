/**
 * Compose's interpolation: `$VAR ${VAR} ${VAR:-d} ${VAR-d} ${VAR:?m} ${VAR?m} ${VAR:+r} ${VAR+r}`, nested in the text
 * after the operator, and `$$` for a dollar. A `$` that begins none of these stays as it is.
 */
export type Part =
  | { kind: 'text'; text: string }
  | {
      kind: 'variable';
      name: string;
      /** `default` is `-`, `required` is `?`, `replace` is `+`. */
      operator: 'none' | 'default' | 'required' | 'replace';
      /** With the colon an empty value counts as unset. */
      colon: boolean;
      rest: Part[];
      /** The text after the operator as written. */
      restSource: string;
    };

export type Parsed = { ok: true; parts: Part[] } | { ok: false; message: string };

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const MAX_DEPTH = 16;

/** Splits a text into literal parts and variables. Never throws. */
export function parseInterpolation(text: string, depth = 0): Parsed {
  if (depth > MAX_DEPTH) return { ok: false, message: 'variables are nested too deep' };
  const parts: Part[] = [];
  let literal = '';
  const flush = (): void => {
    if (literal !== '') parts.push({ kind: 'text', text: literal });
    literal = '';
  };
  let i = 0;
  while (i < text.length) {
    const dollar = text.indexOf('$', i);
    if (dollar === -1) {
      literal += text.slice(i);
      break;
    }
    literal += text.slice(i, dollar);
    const next = text[dollar + 1];
    if (next === '$') {
      literal += '$';
      i = dollar + 2;
      continue;
    }
    if (next === '{') {
      const end = closingBrace(text, dollar + 1);
      if (end === -1) return { ok: false, message: '`${` is never closed; write `$$` for a dollar sign' };
      const inside = parseBraced(text.slice(dollar + 2, end), depth);
      if (!inside.ok) return inside;
      flush();
      parts.push(...inside.parts);
      i = end + 1;
      continue;
    }
    const name = nameAt(text, dollar + 1);
    if (name === undefined) {
      literal += '$';
      i = dollar + 1;
      continue;
    }
    flush();
    parts.push({ kind: 'variable', name, operator: 'none', colon: false, rest: [], restSource: '' });
    i = dollar + 1 + name.length;
  }
  flush();
  return { ok: true, parts };
}

function parseBraced(inside: string, depth: number): Parsed {
  const name = nameAt(inside, 0);
  const bad: Parsed = {
    ok: false,
    message:
      '`${…}` must hold a variable name, then nothing or one of :- - :? ? :+ +; write `$$` for a dollar sign',
  };
  if (name === undefined) return bad;
  let at = name.length;
  if (at === inside.length) {
    return {
      ok: true,
      parts: [{ kind: 'variable', name, operator: 'none', colon: false, rest: [], restSource: '' }],
    };
  }
  const colon = inside[at] === ':';
  if (colon) at += 1;
  const operator =
    inside[at] === '-'
      ? 'default'
      : inside[at] === '?'
        ? 'required'
        : inside[at] === '+'
          ? 'replace'
          : 'none';
  if (operator === 'none') return bad;
  const restSource = inside.slice(at + 1);
  const rest = parseInterpolation(restSource, depth + 1);
  if (!rest.ok) return rest;
  return { ok: true, parts: [{ kind: 'variable', name, operator, colon, rest: rest.parts, restSource }] };
}

function nameAt(text: string, at: number): string | undefined {
  NAME.lastIndex = at;
  return NAME.exec(text)?.[0];
}

/** Index of the brace that closes the one at `open`; a default may hold braces of its own, such as JSON. */
function closingBrace(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i += 1) {
    if (text[i] === '{') depth += 1;
    if (text[i] === '}') {
      depth -= 1;
      if (depth === 0) return i;
    }
  }
  return -1;
}

/** What Linux takes as one argument or environment variable; no value may grow longer, in characters. */
export const MAX_VALUE = 128 * 1024;

export type Lookup = (name: string) => string | undefined;

export interface Evaluated {
  text: string;
  /** Some variable's value is in the text. */
  filled: boolean;
  /** The text depends on a variable that has no value, and no default stood in for it. */
  open: boolean;
  /** The text grew beyond {@link MAX_VALUE} and was cut off. */
  tooLong: boolean;
  /** Variables that had no value and no default. */
  unset: string[];
  /** Variables that must be set and are not, with the message from the file as it is written there. */
  missing: { name: string; message: string }[];
}

/** Fills in the variables. `unset` ones are empty text, as in Compose. */
export function evaluate(parts: readonly Part[], lookup: Lookup): Evaluated {
  const result: Evaluated = { text: '', filled: false, open: false, tooLong: false, unset: [], missing: [] };
  for (const part of parts) {
    if (part.kind === 'text') result.text += part.text;
    else evaluateVariable(part, lookup, result);
    if (result.text.length > MAX_VALUE) {
      result.tooLong = true;
      break;
    }
  }
  return result;
}

function evaluateVariable(
  part: Extract<Part, { kind: 'variable' }>,
  lookup: Lookup,
  result: Evaluated,
): void {
  const value = lookup(part.name);
  const present = value !== undefined && !(part.colon && value === '');
  if (value === undefined && part.operator !== 'default') result.open = true;
  const useRest = part.operator === 'replace' ? present : part.operator === 'default' && !present;
  if (useRest) {
    const rest = evaluate(part.rest, lookup);
    result.text += rest.text;
    result.filled ||= rest.filled;
    result.open ||= rest.open;
    result.tooLong ||= rest.tooLong;
    result.unset.push(...rest.unset);
    result.missing.push(...rest.missing);
    return;
  }
  if (part.operator === 'replace') return;
  if (part.operator === 'required' && !present) {
    result.missing.push({ name: part.name, message: part.restSource });
    return;
  }
  if (value === undefined) {
    result.unset.push(part.name);
    return;
  }
  result.text += value;
  result.filled ||= value !== '';
}

/** `$` doubled, so that interpolation gives the text back. */
export function escapeDollars(text: string): string {
  return text.replaceAll('$', '$$$$');
}
