/**
 * The app's name as a Compose file says it: its top-level `name:`. Only that one line is looked at; whether the file is
 * sound is for the coordinator to say, with lines and reasons.
 */
export function composeNameOf(compose: string): string | undefined {
  const match = /^name:[ \t]*(?:"([^"\n]*)"|'([^'\n]*)'|([^\s#"'][^\n#]*))/m.exec(compose);
  const name = (match?.[1] ?? match?.[2] ?? match?.[3])?.trim();
  return name === undefined || name === '' ? undefined : name;
}
