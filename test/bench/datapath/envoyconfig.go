package datapath

// object is a piece of Envoy's configuration.
type object = map[string]any

const none = "0s"

func proxy(listener, cluster object) object {
	return object{"static_resources": object{"listeners": []any{listener}, "clusters": []any{cluster}}}
}

func listener(ip string, port int, manager object) object {
	return object{
		"name": "listener", "stat_prefix": "listener", "address": address(ip, port),
		"filter_chains": []any{object{"filters": []any{manager}}},
	}
}

// redirected adds what finds out where a redirected connection wanted to go.
func redirected(listener object) object {
	listener["listener_filters"] = []any{extension("envoy.filters.listener.original_dst", "envoy.extensions.filters.listener.original_dst.v3.OriginalDst", object{})}
	return listener
}

// manager routes all requests to a cluster. Its settings are those that Sluice
// gives Envoy (detection of HTTP/2, header names as they were written, trailers,
// upgrades, normal paths), so that all subjects do the same work; what Sluice
// needs for itself (route discovery, hand-off, the client's network namespace)
// is left out.
func manager(to string) object {
	return httpManager(object{
		"codec_type": "AUTO", "stat_prefix": "http",
		"route_config": routes(to), "http_filters": []any{router(object{"suppress_envoy_headers": true})},
		"upgrade_configs": []any{object{"upgrade_type": "websocket"}},
		"http_protocol_options": object{
			"accept_http_10": true, "default_host_for_http_10": "bench", "header_key_format": keepCase(), "enable_trailers": true,
		},
		"http2_protocol_options": object{"allow_connect": true},
		"use_remote_address":     false, "skip_xff_append": true,
		"generate_request_id": false, "preserve_external_request_id": true,
		"server_header_transformation": "PASS_THROUGH", "proxy_100_continue": true, "normalize_path": true,
		"max_request_headers_kb":       128,
		"common_http_protocol_options": object{"max_headers_count": 500},
		"stream_idle_timeout":          none,
	})
}

// bareManager routes all requests to a cluster, with Envoy's defaults.
func bareManager(to string) object {
	return httpManager(object{"stat_prefix": "http", "route_config": routes(to), "http_filters": []any{router(object{})}})
}

func httpManager(config object) object {
	return extension("envoy.filters.network.http_connection_manager", "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", config)
}

func routes(to string) object {
	return object{"virtual_hosts": []any{object{
		"name": "all", "domains": []any{"*"},
		"routes": []any{object{"match": object{"prefix": "/"}, "route": object{"cluster": to, "timeout": none}}},
	}}}
}

func router(config object) object {
	return extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", config)
}

func keepCase() object {
	return object{"stateful_formatter": extension("envoy.http.stateful_header_formatters.preserve_case",
		"envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig", object{"forward_reason_phrase": true})}
}

func cluster(name, ip string) object {
	const unlimited = 1<<32 - 1
	return object{
		"name": name, "type": "STATIC", "connect_timeout": "5s", "lb_policy": "LEAST_REQUEST",
		"circuit_breakers": object{"thresholds": []any{object{
			"max_connections": unlimited, "max_pending_requests": unlimited, "max_requests": unlimited, "max_retries": unlimited,
		}}},
		"upstream_connection_options": object{"tcp_keepalive": object{"keepalive_time": 60, "keepalive_interval": 15, "keepalive_probes": 4}},
		"typed_extension_protocol_options": object{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": object{
			"@type":                        "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
			"common_http_protocol_options": object{"idle_timeout": "60s", "max_headers_count": 500},
			"use_downstream_protocol_config": object{
				"http_protocol_options":  object{"header_key_format": keepCase(), "enable_trailers": true},
				"http2_protocol_options": object{"allow_connect": true},
			},
		}},
		"load_assignment": object{"cluster_name": name, "endpoints": []any{object{"lb_endpoints": []any{
			object{"endpoint": object{"address": address(ip, serverPort)}},
		}}}},
	}
}

func address(ip string, port int) object {
	return object{"socket_address": object{"address": ip, "port_value": port}}
}

func extension(name, kind string, config object) object {
	config["@type"] = "type.googleapis.com/" + kind
	return object{"name": name, "typed_config": config}
}
