package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// percentileFunction makes the SQL function by which analysts get the percentiles that Telltale shows: nearest rank, over
// values and how often each counts. ClickHouse takes the rank ceil(n * level) in floating point: what is taken off the
// level keeps a product that should be whole from being rounded above it, and is too little to matter below 1e12 values.
const percentileFunction = `CREATE OR REPLACE FUNCTION telltale_percentile AS (percent, value, count) ->
	quantileExactWeighted(percent / 100 - 1e-14)(value, count)`

// createFunctions makes the SQL functions for analysts. They are the server's, in no database, so a backup does not have
// them: they are made at each start. A server of somebody else's may not let us; then analysts go without.
func createFunctions(ctx context.Context, conn driver.Conn, log *slog.Logger) error {
	err := conn.Exec(ctx, percentileFunction)
	var refused *clickhouse.Exception
	if errors.As(err, &refused) && refused.Code == exceptionAccessDenied {
		log.Warn("ClickHouse does not let the hub's user make the function telltale_percentile for analysts: GRANT CREATE FUNCTION, DROP FUNCTION ON *.* to it", "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the function telltale_percentile: %w", err)
	}
	return nil
}
