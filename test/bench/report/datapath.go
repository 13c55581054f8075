package report

import (
	"sluice.io/sluice/test/bench/datapath"
)

// measure picks one figure from a sample.
type measure func(*datapath.Sample) float64

func connectP50(s *datapath.Sample) float64 { return s.Connect.ConnectP50 }
func connectP99(s *datapath.Sample) float64 { return s.Connect.ConnectP99 }
func firstP50(s *datapath.Sample) float64   { return s.Connect.P50 }
func connectCPU(s *datapath.Sample) float64 { return s.Connect.CgroupCPU }
func requestP50(s *datapath.Sample) float64 { return s.Request.P50 }
func requestP99(s *datapath.Sample) float64 { return s.Request.P99 }
func requestCPU(s *datapath.Sample) float64 { return s.Rate.CgroupCPU }
func machineCPU(s *datapath.Sample) float64 { return s.Rate.MachineCPU }
func rate(s *datapath.Sample) float64       { return float64(s.Rate.N) / s.Rate.Seconds }

// series are a subject's figures, one per round.
func series(r *datapath.Result, subject string, m measure) []float64 {
	var all []float64
	if r == nil {
		return nil
	}
	for _, s := range r.Samples {
		if s.Subject == subject {
			all = append(all, m(s))
		}
	}
	return all
}

// dataPathTables show the data path: latencies, then throughput and CPU.
func dataPathTables(r *datapath.Result) []*Table {
	latency := &Table{
		Title: "Latency, microseconds; × is the ratio to direct",
		Header: []string{"way", "connect p50", "×", "p99", "connect and first answer p50", "×",
			"request p50", "×", "p99"},
	}
	cost := &Table{
		Title: "Throughput and CPU time; × is the ratio to direct",
		Header: []string{"way", "requests/s", "×", "CPU µs per request", "×", "whole machine",
			"CPU µs per connection and request", "×"},
	}
	for _, s := range datapath.Subjects {
		col := func(m measure) string { return number(median(series(r, s.Name, m))) }
		rel := func(m measure) string {
			return ratios(series(r, s.Name, m), series(r, datapath.Subjects[0].Name, m)).String()
		}
		if len(series(r, s.Name, rate)) == 0 {
			continue
		}
		latency.Rows = append(latency.Rows, []string{s.Label, col(connectP50), rel(connectP50), col(connectP99),
			col(firstP50), rel(firstP50), col(requestP50), rel(requestP50), col(requestP99)})
		cost.Rows = append(cost.Rows, []string{s.Label, col(rate), rel(rate), col(requestCPU), rel(requestCPU),
			col(machineCPU), col(connectCPU), rel(connectCPU)})
	}
	return []*Table{latency, cost}
}
