import { Icon, TimeRangePicker, useTheme2 } from '@grafana/ui';
import { TIME_ZONE } from './data.js';
import { Panel } from './panel.jsx';

// Grafana's grid: 24 columns, cells 30 px high, 8 px between them.
const COLUMNS = 24, CELL = 30, GAP = 8, MARGIN = 16;

export function Dashboard({ dashboard, scene, whenRead }) {
  const theme = useTheme2();
  const column = (window.innerWidth - 2 * MARGIN + GAP) / COLUMNS, row = CELL + GAP;
  const bottom = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  return (
    <div style={{ padding: `8px ${MARGIN}px`, minHeight: '100vh', background: theme.colors.background.canvas }}>
      <Top dashboard={dashboard} scene={scene} theme={theme} />
      <div style={{ position: 'relative', height: bottom * row }}>
        {dashboard.panels.map((panel) => {
          const { x, y, w, h } = panel.gridPos;
          const width = w * column - GAP, height = h * row - GAP;
          const place = { position: 'absolute', left: x * column, top: y * row, width, height };
          return (
            <div key={panel.id} style={place}>
              {panel.type === 'row'
                ? <RowTitle title={panel.title} />
                : <Panel panel={panel} scene={scene} width={width} height={height} whenRead={whenRead} />}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function RowTitle({ title }) {
  return (
    <div style={{ display: 'flex', alignItems: 'center', gap: 6, height: CELL, fontSize: 15, fontWeight: 500 }}>
      <Icon name="angle-down" />{title}
    </div>
  );
}

function Top({ dashboard, scene, theme }) {
  const nothing = () => {};
  const line = { display: 'flex', gap: 8, alignItems: 'center', marginBottom: 8 };
  const { background, borderColor } = theme.components.input;
  const box = { border: `1px solid ${borderColor}`, lineHeight: '30px', padding: '0 8px', fontSize: 13 };
  return (
    <div style={line}>
      <b style={{ fontSize: 17, marginRight: 12 }}>{dashboard.title}</b>
      {scene.shown.map(([label, value]) => (
        <div key={label} style={{ display: 'flex' }}>
          <span style={{ ...box, background: theme.colors.background.secondary }}>{label}</span>
          <span style={{ ...box, background, borderLeft: 0 }}>{value} <Icon name="angle-down" /></span>
        </div>
      ))}
      <div style={{ marginLeft: 'auto' }}>
        <TimeRangePicker
          value={scene.range} timeZone={TIME_ZONE} onChange={nothing} onChangeTimeZone={nothing}
          onMoveBackward={nothing} onMoveForward={nothing} onZoom={nothing} isOnCanvas
        />
      </div>
    </div>
  );
}
