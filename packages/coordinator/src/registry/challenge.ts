/** What a registry asks for in `WWW-Authenticate`. */
export type Challenge =
  { scheme: 'basic' } | { scheme: 'bearer'; realm: string; service: string | null; scope: string | null };

const PARAMETER = /\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)/y;

/** Bearer before Basic when both are offered; null when there is none that we know. */
export function parseChallenge(header: string | null): Challenge | null {
  if (header === null || header.length > 4096) return null;
  const offered = schemesOf(header);
  const bearer = offered.find(({ name }) => name === 'bearer')?.parameters;
  const realm = bearer?.get('realm');
  if (bearer !== undefined && realm !== undefined && URL.canParse(realm))
    return {
      scheme: 'bearer',
      realm,
      service: bearer.get('service') ?? null,
      scope: bearer.get('scope') ?? null,
    };
  return offered.some(({ name }) => name === 'basic') ? { scheme: 'basic' } : null;
}

interface Offered {
  name: string;
  parameters: Map<string, string>;
}

/** A scheme is a word that is not followed by `=`; all up to the next one are its parameters. */
function schemesOf(header: string): Offered[] {
  const found: Offered[] = [];
  let at = 0;
  while (at < header.length) {
    PARAMETER.lastIndex = at;
    const parameter = PARAMETER.exec(header);
    const last = found.at(-1);
    if (parameter !== null && last !== undefined) {
      const [, key = '', quoted, plain = ''] = parameter;
      last.parameters.set(key.toLowerCase(), quoted?.replaceAll(/\\(.)/g, '$1') ?? plain);
      at = PARAMETER.lastIndex;
      continue;
    }
    const word = /\s*([A-Za-z0-9_-]+)[\s,]*/y;
    word.lastIndex = at;
    const scheme = word.exec(header)?.[1];
    if (scheme === undefined) break;
    found.push({ name: scheme.toLowerCase(), parameters: new Map() });
    at = word.lastIndex;
  }
  return found;
}
