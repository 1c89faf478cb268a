// @grafana/ui has no state timeline: the bars are drawn here, with Grafana's values and colours.
import { dateTimeFormat, formattedValueToString, getFieldDisplayName } from '@grafana/data';
import { TIME_ZONE } from '../data.js';

const AXIS_HEIGHT = 22;
const TICKS = 6;

export function Timeline({ panel, data, width, height, scene, theme }) {
  const lanes = data.map((frame) => ({
    name: getFieldDisplayName(frame.fields[1], frame, data), bars: barsOf(frame),
  }));
  const nameWidth = Math.min(width * 0.42, 12 + 6.8 * Math.max(...lanes.map(({ name }) => name.length)));
  const laneHeight = Math.min(34, (height - AXIS_HEIGHT) / lanes.length);
  const from = scene.range.from.valueOf(), to = scene.range.to.valueOf();
  const x = (at) => nameWidth + ((at - from) / (to - from)) * (width - nameWidth);
  return (
    <svg width={width} height={height} fontSize={12} fill={theme.colors.text.primary}>
      {lanes.map((lane, number) => (
        <Lane key={lane.name} lane={lane} x={x} y={number * laneHeight} theme={theme}
          height={laneHeight * panel.options.rowHeight} nameWidth={nameWidth} />
      ))}
      <Axis from={from} to={to} x={x} y={height - 6} theme={theme} />
    </svg>
  );
}

function Lane({ lane, x, y, height, nameWidth, theme }) {
  const letters = Math.floor((nameWidth - 8) / 6.2);
  const name = lane.name.length > letters ? `${lane.name.slice(0, letters - 1)}…` : lane.name;
  return (
    <g>
      <text x={nameWidth - 8} y={y + height / 2 + 4} textAnchor="end">{name}</text>
      {lane.bars.map((bar) => {
        const left = Math.max(x(bar.from), nameWidth), width = Math.max(2, x(bar.to) - left);
        return (
          <g key={bar.from}>
            <rect x={left} y={y} width={width} height={height} fill={bar.color} fillOpacity={0.8} />
            {width > 8 * bar.text.length && (
              <text x={left + 6} y={y + height / 2 + 4} fill={theme.colors.getContrastText(bar.color)}>
                {bar.text}
              </text>
            )}
          </g>
        );
      })}
    </g>
  );
}

function Axis({ from, to, x, y, theme }) {
  return Array.from({ length: TICKS }, (_, n) => from + ((n + 0.5) * (to - from)) / TICKS).map((at) => (
    <text key={at} x={x(at)} y={y} textAnchor="middle" fill={theme.colors.text.secondary}>
      {dateTimeFormat(at, { format: 'HH:mm', timeZone: TIME_ZONE })}
    </text>
  ));
}

// Neighbours with the same value are one bar; a null ends it.
function barsOf({ fields: [times, values] }) {
  const bars = [];
  const step = times.values[1] - times.values[0] || 15000;
  let open = null;
  times.values.forEach((at, n) => {
    const value = values.values[n];
    if (value === null) { open = null; return; }
    if (open?.value !== value) {
      const shown = values.display(value);
      bars.push(open = { value, from: at, text: formattedValueToString(shown), color: shown.color });
    }
    open.to = at + step;
  });
  return bars;
}
