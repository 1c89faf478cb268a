// Prometheus' HTTP API, and its answers as Grafana's data frames.
import { FieldType, toDataFrame } from '@grafana/data';

async function ask(path, parameters) {
  const response = await fetch(`/api/v1/${path}`, {
    method: 'POST', body: new URLSearchParams(parameters),
  });
  const answer = await response.json();
  if (answer.status !== 'success') throw new Error(answer.error ?? response.status);
  return answer.data.result;
}

export function queryInstant(promql, atSeconds) {
  return ask('query', { query: promql, time: atSeconds });
}

// The bounds lie on multiples of the step, so that one picture is like the next.
export function queryRange(promql, fromSeconds, toSeconds, step) {
  const start = Math.floor(fromSeconds / step) * step;
  return ask('query_range', { query: promql, start, end: toSeconds, step });
}

const numberOf = (text) => (Number.isFinite(Number(text)) ? Number(text) : null);
const pointsOf = (row) => row.values ?? [row.value];

export function tableFrame(refId, rows, valueName) {
  const labels = [...new Set(rows.flatMap((row) => Object.keys(row.metric)))].sort();
  const points = rows.flatMap((row) => pointsOf(row).map(([at, text]) => ({ row, at, text })));
  return toDataFrame({
    refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: points.map(({ at }) => at * 1000) },
      ...labels.map((label) => ({
        name: label, type: FieldType.string, values: points.map(({ row }) => row.metric[label] ?? ''),
      })),
      { name: valueName, type: FieldType.number, values: points.map(({ text }) => numberOf(text)) },
    ],
  });
}

export function seriesFrames(refId, rows, legend, promql) {
  return rows.map((row) => {
    const name = legend ? legend.replace(/\{\{(\w+)\}\}/g, (_, label) => row.metric[label] ?? '') : promql;
    return toDataFrame({
      refId,
      name,
      fields: [
        { name: 'Time', type: FieldType.time, values: pointsOf(row).map(([at]) => at * 1000) },
        {
          name: 'Value', type: FieldType.number, labels: row.metric,
          values: pointsOf(row).map(([, text]) => numberOf(text)),
          config: { displayNameFromDS: name },
        },
      ],
    });
  });
}

// Steps without a value become nulls, as in Grafana: a line has a gap there, and does not jump it.
export function withGaps(rows, step) {
  return rows.map((row) => {
    const values = [];
    for (const point of row.values) {
      const before = values.at(-1);
      if (before && point[0] - before[0] > 1.5 * step) values.push([before[0] + step, 'NaN']);
      values.push(point);
    }
    return { ...row, values };
  });
}
