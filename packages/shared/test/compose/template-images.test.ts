import { expect, test } from 'vitest';
import { parseTemplate } from '../../src/compose/template.ts';
import { imagesOf } from '../../src/compose/template-images.ts';

function imagesIn(text: string, variables: Record<string, string> = {}) {
  const parsed = parseTemplate({ text });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  return imagesOf(parsed.template, variables);
}

const TEXT = `
x-base: &base
  image: r.test/base:\${VERSION:-1}
services:
  web:
    image: r.test/web:\${VERSION}
  job: *base
  debug:
    image: r.test/debug:\${NOWHERE}
    profiles: [debug]
`;

test('each service that runs has its image, with the variables and the defaults filled in', () => {
  expect(imagesIn(TEXT, { VERSION: '2' })).toEqual({
    ok: true,
    images: [
      { service: 'web', image: 'r.test/web:2' },
      { service: 'job', image: 'r.test/base:2' },
    ],
  });
});

test('a variable that is missing is named with its service and its line', () => {
  expect(imagesIn(TEXT)).toEqual({
    ok: false,
    errors: [
      {
        line: 6,
        column: 12,
        path: 'services.web.image',
        message: expect.stringMatching(/^the image of web needs the variable `VERSION`.*--set VERSION=…/),
      },
    ],
  });
});

test('required ones, nested ones and what each tenant has its own of are all named at once', () => {
  const found = imagesIn(`
services:
  a: { image: "r.test/a:\${A:?say which}" }
  b: { image: "r.test/b:\${B:-\${C}}" }
  c: { image: "r.test/\${BERTH_TENANT}:1" }
`);
  expect(found.ok).toBe(false);
  if (found.ok) return;
  expect(found.errors.map(({ line }) => line)).toEqual([3, 4, 5]);
  expect(found.errors.map(({ message }) => /`(\w+)`/.exec(message)?.[1])).toEqual(['A', 'C', 'BERTH_TENANT']);
  expect(found.errors[2]?.message).toContain('another for each tenant');
});

test('what is no image once it is filled in is refused without its value', () => {
  const found = imagesIn('services: { web: { image: "r.test/web:$V" } }', { V: 'not a tag!' });
  expect(found).toMatchObject({ ok: false, errors: [{ path: 'services.web.image' }] });
  expect(JSON.stringify(found)).not.toContain('not a tag');
});
