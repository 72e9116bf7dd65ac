// The API explorer: GraphiQL over /graphql, subscriptions over its WebSocket. The session's cookie
// says who asks; nothing is loaded from elsewhere.
import { createElement } from 'react';
import { createRoot } from 'react-dom/client';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { createClient } from 'graphql-ws';
import { GraphiQL } from 'graphiql';

const url = new URL('/graphql', location.href);
const socket = new URL(url);
socket.protocol = url.protocol.replace('http', 'ws');

const fetcher = createGraphiQLFetcher({
  url: url.href,
  wsClient: createClient({ url: socket.href }),
});

const welcome = `# Docs (the book) describes
# every field and argument.
# Ctrl-Space completes,
# Ctrl-Enter runs.
{
  fleet {
    vip { holders }
    poolers {
      name
      view { value { state } }
    }
  }
}
`;

// A phone has no place for variables and headers beside the query: they unfold there.
const wide = matchMedia('(width >= 48rem)').matches;

createRoot(document.getElementById('explorer')).render(
  createElement(GraphiQL, {
    fetcher,
    defaultQuery: welcome,
    defaultEditorToolsVisibility: wide,
    forcedTheme: document.documentElement.dataset.theme,
  }),
);

// The editors of this GraphiQL have no names for those who cannot see them, and what they scroll cannot
// be reached by keyboard.
const names = { 'graphiql-query-editor': 'Query', 'graphiql-response': 'Response' };
const nameEditors = () => {
  for (const editor of document.querySelectorAll('.CodeMirror')) {
    const part = Object.keys(names).find((c) => editor.closest('.' + c));
    const tab = document.querySelector('.graphiql-editor-tools button.active');
    const name = names[part] ?? tab?.textContent ?? 'Variables';
    const field = editor.querySelector('textarea');
    if (field.ariaLabel !== name) field.ariaLabel = name;
    const lines = editor.querySelector('.CodeMirror-scroll');
    if (lines.tabIndex !== 0) lines.tabIndex = 0;
  }
};
new MutationObserver(nameEditors).observe(document.getElementById('explorer'), { childList: true, subtree: true });
