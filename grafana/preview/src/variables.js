// The values of a dashboard's variables, and of Grafana's own, put into queries.

const MINIMUM_STEP_SECONDS = 15;
const STEPS = [15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400];
const NAME = /\$\{(\w+)(?::\w+)?\}|\$(\w+)/g;

export function stepOf(rangeSeconds, maxPoints) {
  const wanted = Math.max(MINIMUM_STEP_SECONDS, rangeSeconds / maxPoints);
  return STEPS.find((step) => step >= wanted) ?? STEPS.at(-1);
}

// As Grafana's Prometheus data source does it, for a scrape interval of 15 s.
export function fillIn(text, values, rangeSeconds, stepSeconds) {
  const rateSeconds = Math.max(stepSeconds + 15, 60);
  const own = {
    __interval: `${stepSeconds}s`,
    __interval_ms: String(stepSeconds * 1000),
    __rate_interval: `${rateSeconds}s`,
    __range: `${Math.round(rangeSeconds)}s`,
  };
  return text.replace(NAME, (all, braced, bare) => values[braced ?? bare] ?? own[braced ?? bare] ?? all);
}

// Every variable is at All, but for those that the address of the page sets.
export async function readVariables(dashboard, parameters) {
  const values = {}, shown = [];
  for (const variable of dashboard.templating.list) {
    const chosen = parameters.get(`var-${variable.name}`);
    if (variable.type === 'datasource') {
      values[variable.name] = 'prometheus';
      shown.push([variable.label, 'Prometheus']);
    } else if (chosen) {
      values[variable.name] = chosen;
      shown.push([variable.label, chosen]);
    } else {
      values[variable.name] = variable.allValue;
      shown.push([variable.label, 'All']);
    }
  }
  return { values, shown };
}
