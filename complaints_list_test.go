package wechatpay_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// complaintServer is a fake of the list endpoint.
type complaintServer struct {
	t          *testing.T
	days       []string // of each complaint, in list order
	ids        []string // of each complaint, in list order
	tooLarge   int      // larger limits are rejected; 0: none
	noTotal    bool     // whether total_count is omitted
	grants     int      // the limit is at most this; 0: as requested
	reports    int      // the limit in the response is this, whatever applied; 0: the one that applied
	maxPerPage int      // a page has at most this many entries, whatever its limit; 0: no maximum
	afterPage  func(*complaintServer)

	ranges []string // "begin end" of each distinct range that was requested
	limits []int    // of each request
}

// add adds a complaint at the start or at the end of the list.
func (s *complaintServer) add(day string, id string, first bool) {
	if first {
		s.days, s.ids = slices.Insert(s.days, 0, day), slices.Insert(s.ids, 0, id)
	} else {
		s.days, s.ids = append(s.days, day), append(s.ids, id)
	}
}

func (s *complaintServer) addMany(day string, count int) {
	for i := range count {
		s.add(day, strconv.Itoa(i), false)
	}
}

func (s *complaintServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	begin, end := q.Get("begin_date"), q.Get("end_date")
	limit, _ := strconv.Atoi(q.Get("limit"))
	offset, _ := strconv.Atoi(q.Get("offset"))
	first, err := time.Parse(time.DateOnly, begin)
	require.NoError(s.t, err)
	last, err := time.Parse(time.DateOnly, end)
	require.NoError(s.t, err)
	require.LessOrEqual(s.t, last.Sub(first), 29*24*time.Hour)
	if days := begin + " " + end; !slices.Contains(s.ranges, days) {
		s.ranges = append(s.ranges, days)
	}
	s.limits = append(s.limits, limit)
	if s.tooLarge > 0 && limit > s.tooLarge {
		reply(s.t, 400, `{"code":"PARAM_ERROR","message":"返回结果过大"}`)(w, r)
		return
	}
	var found []map[string]any
	for i, day := range s.days {
		if begin <= day && day <= end {
			found = append(found, map[string]any{"complaint_id": s.ids[i], "complaint_time": day + "T00:00:00+08:00"})
		}
	}
	if s.grants > 0 {
		limit = min(limit, s.grants)
	}
	page := map[string]any{"limit": cmp.Or(s.reports, limit), "offset": offset}
	if s.noTotal && len(found) == 0 {
		page["data"] = []any{}
	}
	if offset == 0 && !s.noTotal {
		page["total_count"] = len(found)
	}
	if s.maxPerPage > 0 {
		limit = min(limit, s.maxPerPage)
	}
	if offset < len(found) {
		page["data"] = found[offset:min(offset+limit, len(found))]
	}
	body, err := json.Marshal(page)
	require.NoError(s.t, err)
	reply(s.t, 200, string(body))(w, r)
	if s.afterPage != nil {
		s.afterPage(s)
	}
}

func (s *complaintServer) client(now time.Time) *wechatpay.Client {
	_, server := newMock(s.t, s.ServeHTTP)
	cfg := testConfig(s.t, server.URL)
	cfg.InsecureSkipVerify = true // reply signs with the test clock
	cfg.Time = func() time.Time { return now }
	client, err := wechatpay.NewClient(cfg)
	require.NoError(s.t, err)
	return client
}

// collect returns the ids of All's complaints, and its error.
func collect(complaints iter.Seq2[*wechatpay.Complaint, error]) (ids []string, err error) {
	for complaint, err := range complaints {
		if err != nil {
			return ids, err
		}
		ids = append(ids, complaint.ComplaintID)
	}
	return ids, nil
}

// All reads 95 days in ranges of 30 days. It reads today by itself, and until
// 10 minutes past midnight yesterday too.
func TestComplaintsV2_All_ranges(t *testing.T) {
	midnight := day(2026, 6, 5).Add(-12 * time.Hour)
	months := []string{"2026-03-02 2026-03-31", "2026-04-01 2026-04-30", "2026-05-01 2026-05-30"}
	split := slices.Concat(months, []string{"2026-05-31 2026-06-03", "2026-06-04 2026-06-04"})
	whole := slices.Concat(months, []string{"2026-05-31 2026-06-04"})
	for _, tt := range []struct {
		name   string
		now    time.Time
		ranges []string
	}{
		{"today", time.Date(2026, 6, 4, 15, 0, 0, 0, time.UTC), split},
		{"yesterday", day(2026, 6, 5), whole},
		{"9:59 past midnight", midnight.Add(10*time.Minute - time.Second), split},
		{"10:00 past midnight", midnight.Add(10 * time.Minute), whole},
		{"today within a range", day(2026, 5, 30), []string{
			"2026-03-02 2026-03-31", "2026-04-01 2026-04-30", "2026-05-01 2026-05-29", "2026-05-30 2026-06-04",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &complaintServer{t: t}
			begin := day(2026, 3, 2)
			var want []string
			for i := range 95 {
				date := begin.AddDate(0, 0, i).Format(time.DateOnly)
				for j := range 2 {
					id := fmt.Sprintf("%s/%d", date, j)
					s.add(date, id, false)
					want = append(want, id)
				}
			}
			s.add("2026-03-01", "before", false)
			s.add("2026-06-05", "after", false)

			req := &wechatpay.ListComplaintsRequest{BeginDate: begin, EndDate: day(2026, 6, 4), Limit: 7}
			got, err := collect(s.client(tt.now).ComplaintsV2.All(context.Background(), req))
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Equal(t, tt.ranges, s.ranges)
		})
	}
}

// Complaints are filed while All reads, and appear at the start or the end of the
// list.
func TestComplaintsV2_All_newComplaints(t *testing.T) {
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprintf("first: %v", first), func(t *testing.T) {
			s := &complaintServer{t: t}
			s.addMany("2026-06-04", 25)
			want := slices.Clone(s.ids)
			added := 0
			s.afterPage = func(s *complaintServer) {
				if added < 12 {
					for range 2 {
						added++
						s.add("2026-06-04", fmt.Sprint("new", added), first)
					}
				}
			}
			req := &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 6, 4), EndDate: day(2026, 6, 4), Limit: 5}
			got, err := collect(s.client(day(2026, 6, 4)).ComplaintsV2.All(context.Background(), req))
			require.NoError(t, err)
			require.Equal(t, 12, added)
			seen := map[string]int{}
			for _, id := range got {
				seen[id]++
				require.Equal(t, 1, seen[id], id)
			}
			for _, id := range want {
				require.Equal(t, 1, seen[id], id)
			}
		})
	}
}

// The smaller limit is used for the following pages too.
func TestComplaintsV2_All_tooLarge(t *testing.T) {
	for _, tt := range []struct {
		limit, tooLarge, count int
		limits                 []int
	}{
		{0, 20, 30, []int{50, 25, 12, 12, 12}},
		{2, 1, 2, []int{2, 1, 1, 1}},
	} {
		s := &complaintServer{t: t, tooLarge: tt.tooLarge}
		s.addMany("2026-06-01", tt.count)
		req := &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 6, 1), EndDate: day(2026, 6, 2), Limit: tt.limit}
		got, err := collect(s.client(day(2026, 6, 4)).ComplaintsV2.All(context.Background(), req))
		require.NoError(t, err)
		require.Equal(t, s.ids, got)
		require.Equal(t, tt.limits, s.limits)
	}
}

func TestComplaintsV2_All_rejected(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		limits []string
	}{
		{400, `{"code":"PARAM_ERROR","message":"complainted_mchid"}`, []string{"50", "25", "12", "6", "3", "1"}},
		{413, `{}`, []string{"50", "25", "12", "6", "3", "1"}},
		{403, `{"code":"NO_AUTH"}`, []string{"50"}},
	} {
		t.Run(strconv.Itoa(tt.status), func(t *testing.T) {
			var limits []string
			client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				limits = append(limits, r.URL.Query().Get("limit"))
				reply(t, tt.status, tt.body)(w, r)
			})
			req := &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 6, 1), EndDate: day(2026, 6, 2)}
			_, err := collect(client.ComplaintsV2.All(context.Background(), req))
			var rejection *wechatpay.APIError
			require.ErrorAs(t, err, &rejection)
			require.Equal(t, tt.status, rejection.StatusCode)
			require.True(t, strings.HasPrefix(err.Error(), "wechatpay: ComplaintsV2.All: "), err)
			require.Equal(t, tt.limits, limits)
		})
	}
}

func TestComplaintsV2_All_lastPage(t *testing.T) {
	for _, tt := range []struct {
		name       string
		noTotal    bool
		maxPerPage int
		grants     int
		reports    int
		count      int
		requests   int
	}{
		{"total, short last page", false, 0, 0, 0, 23, 3},
		{"total, full last page", false, 0, 0, 0, 20, 3},
		{"total, short pages", false, 3, 0, 0, 23, 8},
		{"total of 0", false, 0, 0, 0, 0, 1},
		{"no total, short last page", true, 0, 0, 0, 23, 3},
		{"no total, full last page", true, 0, 0, 0, 20, 3},
		{"no total, smaller limit granted", true, 0, 4, 0, 23, 6},
		{"no total, larger limit reported", true, 0, 0, 50, 23, 3},
		{"no total, no limit reported", true, 0, 0, -1, 23, 3},
		{"no total, empty", true, 0, 0, 0, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &complaintServer{
				t:          t,
				noTotal:    tt.noTotal,
				maxPerPage: tt.maxPerPage,
				grants:     tt.grants,
				reports:    tt.reports,
			}
			s.addMany("2026-06-01", tt.count)
			req := &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 6, 1), EndDate: day(2026, 6, 1), Limit: 10}
			got, err := collect(s.client(day(2026, 6, 4)).ComplaintsV2.All(context.Background(), req))
			require.NoError(t, err)
			require.Equal(t, s.ids, got)
			require.Len(t, s.limits, tt.requests)
		})
	}
}

func TestComplaintsV2_All_break(t *testing.T) {
	s := &complaintServer{t: t}
	s.addMany("2026-06-01", 30)
	req := &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 6, 1), EndDate: day(2026, 6, 2), Limit: 10}
	for range s.client(day(2026, 6, 2)).ComplaintsV2.All(context.Background(), req) {
		break
	}
	require.Len(t, s.limits, 1)
}

func TestComplaintsV2_All_canceled(t *testing.T) {
	s := &complaintServer{t: t}
	s.addMany("2026-06-01", 30)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req := &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 6, 1), EndDate: day(2026, 6, 1), Limit: 10}
	complaints, last := 0, error(nil)
	for complaint, err := range s.client(day(2026, 6, 4)).ComplaintsV2.All(ctx, req) {
		require.NoError(t, last, "the error must come last")
		if last = err; err != nil {
			require.Nil(t, complaint)
			continue
		}
		if complaints++; complaints == 3 {
			cancel()
		}
	}
	require.ErrorIs(t, last, context.Canceled)
	require.Equal(t, 3, complaints)
	require.Len(t, s.limits, 1)
}

func TestComplaintsV2_All_invalidArguments(t *testing.T) {
	all := func(req *wechatpay.ListComplaintsRequest) serviceCall {
		return func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := collect(s.All(ctx, req))
			return err
		}
	}
	for _, tt := range []invalidCall{
		{"nil request", "All", all(nil), []string{"BeginDate: is required", "EndDate: is required"}},
		{"Offset", "All", all(&wechatpay.ListComplaintsRequest{
			BeginDate: day(2026, 6, 1), EndDate: day(2026, 6, 1), Offset: 1,
		}), []string{"Offset: must be 0, got 1"}},
		{"Limit", "All", all(&wechatpay.ListComplaintsRequest{
			BeginDate: day(2026, 6, 1), EndDate: day(2026, 6, 1), Limit: 51,
		}), []string{"Limit: must be 1 to 50, got 51"}},
	} {
		t.Run(tt.name, tt.test)
	}
}

// Records are added at the start of the history while it is read.
func TestComplaintsV2_AllNegotiationHistory_newRecords(t *testing.T) {
	ids := []string{}
	for i := range 250 {
		ids = append(ids, strconv.Itoa(i))
	}
	var limits []int
	client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "/v3/merchant-service/complaints-v2/a%2Fb/negotiation-historys", r.URL.EscapedPath())
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		limits = append(limits, limit)
		if limit > 50 {
			reply(t, 400, `{"code":"INVALID_REQUEST","message":"返回结果过大"}`)(w, r)
			return
		}
		records := []map[string]any{}
		for _, id := range ids[offset:min(offset+limit, len(ids))] {
			records = append(records, map[string]any{"log_id": id, "operate_type": "USER_RESPONSE"})
		}
		body, err := json.Marshal(map[string]any{"data": records, "limit": 50, "offset": offset, "total_count": 250})
		require.NoError(t, err)
		reply(t, 200, string(body))(w, r)
		ids = append([]string{fmt.Sprint("new", len(limits))}, ids...)
	})
	seen := map[string]int{}
	for record, err := range client.ComplaintsV2.AllNegotiationHistory(context.Background(), "a/b") {
		require.NoError(t, err)
		seen[record.LogID]++
		require.Equal(t, 1, seen[record.LogID], record.LogID)
	}
	for i := range 250 {
		require.Equal(t, 1, seen[strconv.Itoa(i)])
	}
	require.Equal(t, []int{100, 50, 50, 50, 50, 50, 50}, limits)
}

func TestComplaintsV2_AllNegotiationHistory_invalidArguments(t *testing.T) {
	invalidCall{"", "AllNegotiationHistory", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
		for record, err := range s.AllNegotiationHistory(ctx, "") {
			require.Nil(t, record)
			return err
		}
		return nil
	}, []string{"complaintID: is required"}}.test(t)
}

// A page larger than the SDK accepts is read with a smaller limit.
func TestComplaintsV2_All_bodyTooLarge(t *testing.T) {
	detail := strings.Repeat("a", 350<<10) // 50 of them exceed 16 MiB
	var limits []string
	client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		limit := r.URL.Query().Get("limit")
		limits = append(limits, limit)
		count := 10
		if limit == "50" {
			count = 50
		}
		data := make([]map[string]string, count)
		for i := range data {
			data[i] = map[string]string{"complaint_id": strconv.Itoa(i), "complaint_detail": detail}
		}
		body, err := json.Marshal(map[string]any{"data": data, "limit": 25, "offset": 0, "total_count": 10})
		require.NoError(t, err)
		reply(t, 200, string(body))(w, r)
	})
	req := &wechatpay.ListComplaintsRequest{BeginDate: day(2023, 11, 1), EndDate: day(2023, 11, 1)}
	ids, err := collect(client.ComplaintsV2.All(context.Background(), req))
	require.NoError(t, err)
	require.Len(t, ids, 10)
	require.Equal(t, []string{"50", "25"}, limits)
}

// Records without an id cannot be told apart, so none is skipped.
func TestComplaintsV2_AllNegotiationHistory_noLogID(t *testing.T) {
	const page = `{"data":[{"operator":"a"},{"operator":"b"}],"limit":100,"offset":0,"total_count":2}`
	client, _ := newMock(t, reply(t, 200, page))
	var operators []string
	for record, err := range client.ComplaintsV2.AllNegotiationHistory(context.Background(), "1") {
		require.NoError(t, err)
		operators = append(operators, record.Operator)
	}
	require.Equal(t, []string{"a", "b"}, operators)
}
