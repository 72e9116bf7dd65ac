// Makes dist/, which is committed and embedded: npm ci && npm run build.
import { readFile } from 'node:fs/promises';
import { build } from 'esbuild';

// GraphiQL's style sheet holds fonts and two pictures as data: addresses, which the policy of our pages
// refuses. The system's own fonts do.
const withoutData = {
  name: 'without-data',
  setup(b) {
    b.onLoad({ filter: /graphiql\/dist\/style\.css$/ }, async ({ path }) => {
      const css = await readFile(path, 'utf8');
      const contents = css.replace(/@font-face\s*\{[^}]*\}/g, '').replace(/url\(\s*["']?data:[^)]*\)/g, 'none');
      return { contents, loader: 'css' };
    });
  },
};

const common = { bundle: true, minify: true, legalComments: 'eof', logLevel: 'warning', target: 'es2022' };

await build({
  ...common,
  entryPoints: ['explorer.mjs'],
  outfile: 'dist/explorer.js',
  format: 'esm',
  define: { 'process.env.NODE_ENV': '"production"' },
});
await build({ ...common, entryPoints: ['explorer.css'], outfile: 'dist/explorer.css', plugins: [withoutData] });
