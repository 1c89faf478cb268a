// One page: the dashboard at /dashboard.json, as its own time range or the address says.
// ?theme=light&from=<ms>&to=<ms>&var-queue=media
import { DashboardCursorSync, EventBusSrv, ThemeContext, createTheme, dateTime, rangeUtil } from '@grafana/data';
import { GlobalStyles, PanelContextProvider, PortalContainer } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { readAnnotations } from './data.js';
import { Dashboard } from './dashboard.jsx';
import { register } from './registry.js';
import { readVariables } from './variables.js';

// What is drawn after the last answer: the libraries settle in a few frames.
const SETTLE_MILLISECONDS = 700;
const parameters = new URLSearchParams(window.location.search);

function rangeOf(dashboard) {
  const bounds = ['from', 'to'].map((name) => parameters.get(name));
  if (bounds.every(Boolean)) {
    const [from, to] = bounds.map((text) => dateTime(Number(text)));
    return { from, to, raw: { from, to } };
  }
  return rangeUtil.convertRawToRange(dashboard.time);
}

async function main() {
  register();
  const dashboard = await (await fetch('/dashboard.json')).json();
  const scene = { range: rangeOf(dashboard), ...await readVariables(dashboard, parameters) };
  scene.annotations = await readAnnotations(dashboard, scene);
  let left = dashboard.panels.filter(({ type }) => type !== 'row').length;
  const whenRead = () => {
    left -= 1;
    if (left === 0) setTimeout(() => { window.isDrawn = true; }, SETTLE_MILLISECONDS);
  };
  const context = { eventsScope: 'preview', eventBus: new EventBusSrv(), sync: () => DashboardCursorSync.Off };
  const theme = createTheme({ colors: { mode: parameters.get('theme') ?? 'dark' } });
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles isExtensionSidebarOpen={false} hackNoBackdropBlur />
      <PanelContextProvider value={context}>
        <Dashboard dashboard={dashboard} scene={scene} whenRead={whenRead} />
      </PanelContextProvider>
      <PortalContainer />
    </ThemeContext.Provider>,
  );
}

main();
