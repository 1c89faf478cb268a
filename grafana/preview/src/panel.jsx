import { LoadingState } from '@grafana/data';
import { PanelChrome, useTheme2 } from '@grafana/ui';
import { Component, useEffect, useState } from 'react';
import { readPanel } from './data.js';
import { Stat } from './panels/stat.jsx';
import { Table } from './panels/table.jsx';
import { Timeline } from './panels/timeline.jsx';
import { Graph } from './panels/timeseries.jsx';

const KINDS = { stat: Stat, table: Table, timeseries: Graph, 'state-timeline': Timeline };

export function Panel({ panel, scene, width, height, whenRead }) {
  const theme = useTheme2();
  const [shown, setShown] = useState({});
  useEffect(() => {
    readPanel(panel, scene, theme, width)
      .then(setShown, (error) => setShown({ error: String(error) }))
      .finally(whenRead);
  }, [panel, scene, theme, width]);
  return (
    <PanelChrome
      title={panel.title} description={panel.description} width={width} height={height}
      padding={panel.type === 'table' ? 'none' : 'md'} statusMessage={shown.error}
      loadingState={LoadingState.Done}
    >
      {(inner, innerHeight) => (
        <Inside panel={panel} scene={scene} theme={theme} {...shown} width={inner} height={innerHeight} />
      )}
    </PanelChrome>
  );
}

function Inside({ error, ...shown }) {
  const { data, panel, theme, height } = shown;
  if (error) console.error(`${panel.title}: ${error}`);
  if (!data) return null;
  const Kind = KINDS[panel.type];
  const isEmpty = panel.type === 'table' ? !data.length : !data.some((frame) => frame.length);
  if (panel.type !== 'stat' && isEmpty) {
    return <Nothing height={height} theme={theme}>{panel.fieldConfig.defaults.noValue}</Nothing>;
  }
  return <Guard title={panel.title}><Kind {...shown} /></Guard>;
}

function Nothing({ height, theme, children }) {
  const style = { height, display: 'grid', placeItems: 'center', color: theme.colors.text.secondary };
  return <div style={style}>{children}</div>;
}

class Guard extends Component {
  state = {};

  static getDerivedStateFromError(error) {
    return { error };
  }

  render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    console.error(`${this.props.title}: ${error.stack}`);
    return <pre>{String(error)}</pre>;
  }
}
